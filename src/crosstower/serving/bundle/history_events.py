"""The types of events that extend the histories of a bundle's users in a server."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from crosstower.errors import BundleError
from crosstower.recipe.arguments import described
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.retrieval import History
from crosstower.retrieval.data.tower_columns import retrieval_section_of


def with_history_events(recipe: Recipe, types: Sequence[str]) -> Recipe:
    """Return a retrieval recipe whose histories are extended by events of other types.

    Args:
        recipe: that retrieves.
        types: of the events, in place of those of `retrieval.history.events`.

    Raises:
        BundleError: the recipe has no user column, or a type is blank, too long or named twice.

    """
    section = retrieval_section_of(recipe)
    if section.user is None:
        raise BundleError(
            f"history_events: {recipe.name} has no user column, so no user has a history; add"
            " user: COLUMN to retrieval in the recipe"
        )
    if isinstance(types, str):
        raise BundleError(
            f"history_events: expected a list of types of events, got {described(types)}"
        )
    own = {name: getattr(section.history, name) for name in section.history.model_fields_set}
    try:
        history = History.model_validate(own | {"events": tuple(types)})
    except ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":
            problem = f"expected texts of 1 to 64 characters that are not blank, got {list(types)}"
        raise BundleError(f"history_events: {problem}") from None
    return with_history(recipe, history)


def with_history(recipe: Recipe, history: History) -> Recipe:
    """Return a retrieval recipe with another `retrieval.history`."""
    section = retrieval_section_of(recipe).model_copy(update={"history": history})
    return recipe.model_copy(update={"retrieval": section})
