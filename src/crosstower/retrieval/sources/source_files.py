"""Files of the sources of a retrieval run: `retrieval/sources/NAME/ARRAY.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import CrosstowerError, DataError, RunError, first_line
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.run_files import FOLDER
from crosstower.retrieval.sources.candidate_source import CandidateSource
from crosstower.retrieval.sources.quotas import Sources
from crosstower.retrieval.sources.registry import options_of, source_kinds
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.storage.files import replacing
from crosstower.training.run import Run

SOURCES_FOLDER = "sources"


def write_sources(folder: Path, recipe: Recipe, data: RetrievalData) -> None:
    """Fit the sources of a recipe, and write their arrays to a run folder.

    Args:
        folder: of the run.
        recipe: with a retrieval section; without sources, nothing is written.
        data: of the training.

    Raises:
        DataError: the rows lack an input of a source, or it has no items.

    """
    rows, kinds = SourceRows(recipe, data), source_kinds(recipe)
    for name, options in options_of(recipe).items():
        place = folder / FOLDER / SOURCES_FOLDER / name
        place.mkdir(parents=True, exist_ok=True)
        try:
            arrays = kinds[name].fit(options, rows)
        except CrosstowerError as error:
            raise DataError(f"sources.{name}: {error}") from error
        for part, array in arrays.items():
            with replacing(place / f"{part}.npy") as aside, aside.open("wb") as file:
                np.save(file, np.asarray(array), allow_pickle=False)


def open_sources(run: Run) -> Sources | None:
    """Return the sources of a retrieval run; None if its recipe has none.

    Raises:
        RunError: a file is missing or damaged.

    """
    recipe = run.recipe
    if recipe.sources is None:
        return None
    kinds, opened = source_kinds(recipe), dict[str, CandidateSource]()
    for name, options in options_of(recipe).items():
        place = run.folder / FOLDER / SOURCES_FOLDER / name
        try:
            opened[name] = kinds[name](options, _arrays(place))
        except KeyError as error:
            raise RunError(
                f"{place / f'{error.args[0]}.npy'}: missing; train the run again"
            ) from error
    quotas = {name: source.quota for name, source in recipe.sources.items()}
    model = next((name for name, kind in kinds.items() if kind.is_model), None)
    return Sources(opened, quotas, model)


def _arrays(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a source, mapped from their files, which processes share."""
    return {path.stem: _array(path) for path in sorted(folder.glob("*.npy"))}


def _array(path: Path) -> NDArray[Any]:
    try:
        empty = np.load(path, mmap_mode=None, allow_pickle=False) if _is_small(path) else None
        return np.load(path, mmap_mode="c", allow_pickle=False) if empty is None else empty
    except (OSError, ValueError, EOFError) as error:
        reason = first_line(error)
        raise RunError(f"{path}: damaged: {reason}; train the run again") from error


def _is_small(path: Path) -> bool:
    """Return whether a file is so small that it may hold no number, which cannot be mapped."""
    return path.stat().st_size < 4_096
