"""The folder of a tuning run: begun once, and continued by the same recipe only.

- `recipe.yaml`: the recipe as given, all data paths absolute
- `search.json`: space, settings and metric
- `rows/`: the encoded rows, unless trials encode them differently
- `study.db`: the trials, in Optuna's SQLite form
- `trials/N/`: recipe and metrics of a trial
- `trials.json`: values, states and errors of all trials
- `tuned.yaml`: the recipe with the best values
- `winner-N/`: the run of trial N, trained again and tested
- `tune.html`: history, importance and parallel coordinates
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from crosstower.errors import RunError
from crosstower.fitting.tuning.space import Space, plain_of
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tune import Dimension, Tune
from crosstower.storage.documents import read_document
from crosstower.storage.files import new_folder, refuse_unwritable
from crosstower.values.instants import minute_text

RECIPE, SEARCH, ROWS, TRIALS = "recipe.yaml", "search.json", "rows", "trials.json"
TUNED, PAGE = "tuned.yaml", "tune.html"
_FORMAT = 1


class Search(FrozenModel):
    """Settings of a search; contents of `search.json`.

    Args:
        created: time of the first command.
        settings: the `tune` section; `settings.space` is empty if the space is the default one.
        space: that trials are drawn from.
        monitor: the metric that trials are compared by.
        higher: whether higher values are better.
        prepared: whether all trials share encoded rows.

    """

    format: Literal[1] = _FORMAT
    created: str
    settings: Tune
    space: dict[str, Dimension]
    monitor: str
    higher: bool
    prepared: bool


def begin_folder(
    folder: Path, recipe: Recipe, space: Space, *, monitor: tuple[str, bool], prepared: bool
) -> Search:
    """Write the folder of a new search and return its settings."""
    refuse_unwritable(folder, error=RunError)
    search = Search(
        created=minute_text(datetime.now(UTC)),
        settings=recipe.tune or Tune(),
        space=dict(space),
        monitor=monitor[0],
        higher=monitor[1],
        prepared=prepared,
    )
    with new_folder(folder) as aside:
        (aside / RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
        (aside / SEARCH).write_text(search.model_dump_json(indent=1), encoding="utf-8")
    return search


def open_folder(folder: Path) -> tuple[Recipe, Search]:
    """Return the recipe and the search of a tuning run.

    Raises:
        RunError: the folder holds no tuning, or a damaged one.

    """
    path = folder / SEARCH
    if not path.is_file():
        raise RunError(
            f"{folder}: already exists and holds no tuning (no {SEARCH}); choose another folder"
            " with --out"
        )
    search = read_document(path, Search, newest=_FORMAT, error=RunError, again="tune again")
    return load_recipe(folder / RECIPE), search


def refuse_another(folder: Path, before: Recipe, after: Recipe) -> None:
    """Refuse to continue a tuning run with another recipe; only `tune.trials` may differ.

    Raises:
        RunError: names the first keys that differ.

    """
    one, other = dict(_flat(_compared(before))), dict(_flat(_compared(after)))
    differ = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    if differ:
        pairs = (f"{key}: {one.get(key)!r}, now {other.get(key)!r}" for key in differ[:3])
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise RunError(
            f"{folder}: is the tuning of another recipe ({'; '.join(pairs)}{more}); change the"
            " recipe back, or choose another folder with --out"
        )


def _compared(recipe: Recipe) -> dict[str, Any]:
    tune = (recipe.tune or Tune()).model_dump(mode="json", exclude={"trials"})
    return {**plain_of(recipe), "tune": tune}


def _flat(plain: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


@contextmanager
def alone_in(folder: Path) -> Generator[None]:
    """Keep other commands from continuing the same tuning.

    Raises:
        RunError: another command is running it.

    """
    lock = FileLock(folder / "tune.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder}: another command is running this tuning; wait for its end, or stop it and"
            " run this one again"
        ) from None
    try:
        yield
    finally:
        lock.release()
