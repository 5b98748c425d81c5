"""The columns of the query tower and of the item tower of a retrieval recipe."""

from __future__ import annotations

from dataclasses import dataclass

from crosstower.errors import RecipeError, did_you_mean
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.row_times import own_time
from crosstower.recipe.schema import Cross, Distance, Elapsed, Formula, Schema


@dataclass(frozen=True)
class TowerColumns:
    """Names of schema columns per tower; `history` is filled from a user's rows and in neither."""

    query: tuple[str, ...]
    item: tuple[str, ...]
    history: str | None


def retrieval_section_of(recipe: Recipe) -> Retrieval:
    """Return the recipe's retrieval section.

    Raises:
        RecipeError: it has none.

    """
    if recipe.retrieval is None:
        raise RecipeError(f"recipe '{recipe.name}' has no retrieval section; add one, or rank")
    return recipe.retrieval


def tower_columns_of(recipe: Recipe) -> TowerColumns:
    """Return the columns of the towers by `model.item`.

    Raises:
        RecipeError: an unknown column, a tower without columns, or a column that needs both towers.

    """
    columns, history = recipe.schema_.columns, retrieval_section_of(recipe).history.column
    named = recipe.model.get("item", [])
    item = [named] if isinstance(named, str) else list(named)
    for name in item:
        if name not in columns or name == history:
            raise RecipeError(
                f"model.item: no item column '{name}'{did_you_mean(name, list(columns))};"
                f" allowed: {', '.join(c for c in columns if c != history)}"
            )
    query = [name for name in columns if name not in item and name != history]
    if not item or not (query or history):
        raise RecipeError(
            "model.item: name the columns of the item tower, at least one, and leave at least one"
            f" to the query; got [{', '.join(item)}] out of {', '.join(columns)}"
        )
    _check_one_sided(recipe.schema_, item)
    _check_computed(recipe, query, item)
    return TowerColumns(tuple(query), tuple(item), history)


def reads_users_only(recipe: Recipe) -> bool:
    """Return whether a query has no column but the id of the user."""
    columns = recipe.schema_.part(list(tower_columns_of(recipe).query)).sources()
    return set(columns) <= {retrieval_section_of(recipe).user}


def frozen_columns(recipe: Recipe) -> frozenset[str]:
    """Return the columns whose encoding `training.freeze` keeps; none without it."""
    if recipe.training.freeze is None:
        return frozenset()
    sides = tower_columns_of(recipe)
    return frozenset(sides.query if sides.history is None else (*sides.query, sides.history))


def _check_one_sided(schema: Schema, item: list[str]) -> None:
    for name, column in schema.columns.items():
        if isinstance(column, Distance):
            raise RecipeError(
                f"schema.columns.{name}: a distance needs both the query and the item, which a"
                " two-tower model never sees; use it in a ranker, or in a filter as distance_km"
            )
        if isinstance(column, Cross) and len({part in item for part in column.columns}) > 1:
            raise RecipeError(
                f"schema.columns.{name}: a cross of a query column and an item column; each tower"
                " sees only its own columns, cross columns of one tower"
            )


def _check_computed(recipe: Recipe, query: list[str], item: list[str]) -> None:
    """Reject a column that is computed from data columns of the other tower."""
    for own, other in ((query, item), (item, query)):
        theirs = recipe.schema_.part(other).sources()
        elsewhere = {*theirs, *((own_time(recipe),) if own is item else ())}
        elsewhere -= _read(recipe.schema_, own)
        for name in own:
            column = recipe.schema_.columns[name]
            if not isinstance(column, Elapsed | Formula):
                continue
            source = next((s for s in column.sources(name) if s in elsewhere), None)
            if source is not None:
                here, there = ("item", "query") if own is item else ("query", "item")
                raise RecipeError(
                    f"schema.columns.{name}: computed in the {here} tower from '{source}', which"
                    f" belongs to the {there}; each tower sees only its own columns, compute it in"
                    " a ranker"
                )


def _read(schema: Schema, names: list[str]) -> set[str]:
    """Return the data columns that some columns read as they are."""
    columns = [(name, schema.columns[name]) for name in names]
    plain = [(name, c) for name, c in columns if not isinstance(c, Elapsed | Formula)]
    return {source for name, column in plain for source in column.sources(name)}
