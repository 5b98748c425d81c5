"""Recipes of a retraining: those of the first bundle, for other rows and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosstower.recipe.blend import Blend
from crosstower.recipe.events import EventLog
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import ColumnSplit
from crosstower.recipe.training import Training
from crosstower.recipe.validation import validate
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.serving.retraining.division import PART


def retrieval_recipe(
    recipe: Recipe, *, rows: Path, items: Path, time: str, training: Mapping[str, Any], seed: int
) -> Recipe:
    """Return the recipe that trains the retriever again.

    Args:
        recipe: of the first bundle.
        rows: file of `retrieval_rows`, divided.
        items: file of the items.
        time: column of the rows' time.
        training: keys of `training` that differ.
        seed: of the model that is served.

    Raises:
        RecipeError: a key of `training` is wrong.

    """
    section = retrieval_section_of(recipe)
    update: dict[str, Any] = {"items": str(items.absolute()), "baselines": ()}
    if section.user is not None:
        update["time"] = time
    return _checked(
        recipe.model_copy(
            update={
                "data": _data(recipe, rows, time=_read_time(recipe, time)),
                "retrieval": section.model_copy(update=update),
                "training": _training(recipe, "retrieval", training, seed),
            }
        )
    )


def ranking_recipe(
    recipe: Recipe,
    *,
    rows: Path,
    time: str,
    events: Sequence[EventLog],
    blend: Blend | None,
    training: Mapping[str, Any],
    seed: int,
) -> Recipe:
    """Return the recipe that trains the ranker again, and blends its tasks as the live bundle does.

    Args:
        recipe: of the first bundle.
        rows: file of `ranking_rows`, divided.
        time: column of the rows' time.
        events: logs of the events that counters count; none without counters.
        blend: of the live bundle, None without one.
        training: keys of `training` that differ.
        seed: of the model that is served.

    Raises:
        RecipeError: a key of `training` is wrong.

    """
    counts = bool(events) or bool(recipe.schema_.timed_lists())
    return _checked(
        recipe.model_copy(
            update={
                "data": _data(recipe, rows, events, time if counts else _read_time(recipe, time)),
                "evaluation": recipe.evaluation.model_copy(update={"baselines": ()}),
                "training": _training(recipe, "ranking", training, seed),
                "blend": blend,
            }
        )
    )


def check_training(recipe: Recipe, stage: str, given: Mapping[str, Any]) -> None:
    """Reject wrong keys of `training` before anything is trained.

    Raises:
        RecipeError: names each of them.

    """
    _training(recipe, stage, given, recipe.training.seed)


def _training(recipe: Recipe, stage: str, given: Mapping[str, Any], seed: int) -> Training:
    own = recipe.training.model_dump(mode="json", exclude_defaults=True)
    plain = own | {"seed": seed} | dict(given)
    return validate(Training, plain, where=f"training.{stage}")


def _data(
    recipe: Recipe, rows: Path, events: Sequence[EventLog] = (), time: str | None = None
) -> Any:
    split, logs = ColumnSplit(column=PART), [log.time for log in events if not log.rows]
    update = {"valid": None, "test": None, "split": split}
    times = {name: how for name, how in recipe.data.times.items() if name in logs}
    update |= {"times": times, "rows": None, "events": tuple(events), "time": time}
    return recipe.data.at(str(rows.absolute())).model_copy(update=update)


def _read_time(recipe: Recipe, time: str) -> str | None:
    """Return the column of the rows' time if a model reads it; the split no longer names it."""
    return time if time in recipe.schema_.row_times() else None


def _checked(recipe: Recipe) -> Recipe:
    """Return a recipe read back from its own text, so that it is valid as a whole."""
    return parse_recipe(recipe.to_yaml())
