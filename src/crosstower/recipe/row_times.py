"""The time of a row: the column that a recipe names, and the columns that read it as a time."""

from __future__ import annotations

from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import order_of


def own_time(recipe: Recipe) -> str | None:
    """Return the column of the rows' time that a recipe names, if any."""
    section = recipe.retrieval
    return (
        (section.time if section is not None else None)
        or recipe.data.time
        or order_of(recipe.data.split)
    )


def row_times(recipe: Recipe) -> tuple[str, ...]:
    """Return the data columns that a request without them has as its own time.

    That is the column of the rows' time, if models read it only as a time. Other times, such as
    that of a user's registration, are given as other columns are.
    """
    time = own_time(recipe)
    return (time,) if time is not None and time in recipe.schema_.row_times() else ()
