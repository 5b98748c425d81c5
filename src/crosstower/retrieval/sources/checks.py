"""Checks of the sources of a recipe before any of them is fitted."""

from __future__ import annotations

from crosstower.errors import RecipeError
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.sources.registry import options_of, source_kinds


def check_sources(recipe: Recipe) -> None:
    """Reject sources that a recipe cannot have, before any row is read.

    Raises:
        RecipeError: there is no such kind, an option is wrong, a kind needs users, or a source
            cannot find anything.

    """
    options_of(recipe)
    section, kinds = retrieval_section_of(recipe), source_kinds(recipe)
    models = [name for name, kind in kinds.items() if kind.is_model]
    if len(models) > 1:
        raise RecipeError(
            f"sources: {' and '.join(models)} are both the retrieval model; keep one of them"
        )
    for name, kind in kinds.items():
        if kind.needs_user and section.user is None:
            raise RecipeError(
                f"sources.{name}: needs users, whose histories it reads; set retrieval.user, or"
                " remove the source"
            )
        if kind.repeats and section.exclude_seen:
            raise RecipeError(
                f"sources.{name}: retrieval.exclude_seen leaves out the user's history, so nothing"
                " remains to repeat; set retrieval.exclude_seen: false, or remove the source"
            )


def check_quotas(recipe: Recipe, items: int) -> None:
    """Reject a quota beyond the catalogue.

    Args:
        recipe: with a retrieval section.
        items: size of the catalogue.

    Raises:
        RecipeError: names the source.

    """
    for name, source in (recipe.sources or {}).items():
        if source.quota > items:
            raise RecipeError(
                f"sources.{name}.quota: {source.quota:,} is beyond the catalogue of {items:,}"
                f" items; expected 1 to {items:,}"
            )
