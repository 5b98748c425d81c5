"""Explanations of raw rows: read, encoded, and compared with the background rows of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import polars as pl

from crosstower.data.batch import Batch
from crosstower.data.counters.counted_source import counted_source_of
from crosstower.data.encoded_shards import read_block
from crosstower.data.sources.frames import series_of
from crosstower.data.sources.source import Source
from crosstower.errors import DataError, RunError
from crosstower.ranking.explain import Explanation, shapley_values
from crosstower.ranking.scored_rows import RowScorer
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.arguments import count_of
from crosstower.recipe.own_columns import ROW
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import BACKGROUND, Run

_MOST = 1000  # rows of a call


def explain_rows(
    run: Run, scorer: Scorer, data: Any, *, rows: Sequence[int] | None, background: int, seed: int
) -> tuple[Explanation, ...]:
    """Return the explanation of each row; `Ranker.explain` documents the arguments.

    Raises:
        DataError: a column is missing, a cell is bad, or there is no such row.
        RunError: the run keeps no background rows.

    """
    kept = background_of(run, count_of("background", background, error=DataError))
    recipe = _strict(run.recipe)
    source = counted_source_of(recipe, _frame(data))
    rows = None if rows is None else [_number(source, row) for row in rows]
    found = {
        number: Explanation(
            number, values, shapley_values(scorer, row, scorer.arrays(raw), kept, seed=seed)
        )
        for number, values, row, raw in _chosen(recipe, scorer, source, rows)
    }
    return tuple(found.values()) if rows is None else tuple(found[number] for number in rows)


def background_of(run: Run, most: int) -> Batch:
    """Return the encoded background rows of a run.

    Args:
        run: of a ranker.
        most: number of rows, if there are as many.

    Raises:
        RunError: the run keeps none.

    """
    path = run.folder / BACKGROUND
    if not path.is_file():
        raise RunError(
            f"{run.folder}: keeps no background rows to compare with, as evaluation.importance was"
            " false or the run is of an earlier version; train it again with evaluation.importance:"
            " true"
        )
    rows = read_block(path)
    return rows.take(np.arange(min(most, len(rows))))


def _chosen(
    recipe: Recipe, scorer: Scorer, source: Source, rows: Sequence[int] | None
) -> Iterator[tuple[int, dict[str, Any], Batch, pl.DataFrame]]:
    """Yield number, raw values, encoded row and calibration columns of each row, in their order.

    Raises:
        DataError: there is no such row, or there are too many.

    """
    wanted, seen, height = None if rows is None else set(rows), 0, 0
    for chunk, frame, batch in RowScorer(recipe, scorer).encoded(source, with_labels=False):
        raw, height = scorer.raw(frame), chunk.index + chunk.frame.height
        for place, number in enumerate(frame[ROW].to_list()):
            if wanted is not None and number not in wanted:
                continue
            seen += 1
            if seen > _MOST:
                raise DataError(
                    f"{source.name}: more than {_MOST:,} rows to explain; choose some by rows"
                    " (--row on the command line)"
                )
            values = _values(recipe, chunk.frame[number - chunk.index])
            yield number, values, batch[place : place + 1], raw.slice(place, 1)
        if wanted is not None and seen == len(wanted):
            return
    if wanted is not None:
        first = min(number for number in wanted if number >= height)
        count = f"{height:,} row{'' if height == 1 else 's'}"
        raise DataError(f"{source.name}: no row {first}; it has {count}, numbered from 0")


def _number(source: Source, row: Any) -> int:
    """Return the number of a row as it is given."""
    if isinstance(row, bool) or not hasattr(row, "__index__") or row < 0:
        raise DataError(f"{source.name}: no row {row!r}; rows have whole numbers from 0")
    return row.__index__()


def _values(recipe: Recipe, row: pl.DataFrame) -> dict[str, Any]:
    """Return the raw values of the columns of a row; a list where a column reads several."""
    cells = row.row(0, named=True)
    found = dict[str, Any]()
    for name, column in recipe.schema_.columns.items():
        read = [cells[source] for source in column.sources(name) if source in cells]
        found[name] = read[0] if len(read) == 1 else read
    return found


def _strict(recipe: Recipe) -> Recipe:
    """Return the recipe with bad cells as errors: a row that is skipped has no explanation."""
    data = recipe.data.model_copy(update={"on_bad_rows": "error"})
    return recipe.model_copy(update={"data": data})


def _frame(data: Any) -> Any:
    """Return rows given as mappings as a frame; other data as it is."""
    rows = [data] if isinstance(data, Mapping) else data
    if not isinstance(rows, list) or not rows:
        return rows
    if not all(isinstance(row, Mapping) for row in cast("list[Any]", rows)):
        raise DataError(f"rows: expected mappings of columns to values, got {rows[0]!r:.80}")
    given = cast("list[Mapping[str, Any]]", rows)
    names = dict.fromkeys(str(name) for row in given for name in row)
    return pl.DataFrame([series_of(name, [row.get(name) for row in given]) for name in names])
