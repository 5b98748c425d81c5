"""Whether a ranking run was trained on, or selected by, the test rows of a retrieval run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.filters.filter import filter_columns, parse_filter
from crosstower.data.reading import training_source
from crosstower.data.sources.source import Source, require_columns
from crosstower.data.split import SPLITS, split_words, splitter_of
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.recipe import Data, Recipe
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.values.arrays import Indices

_TRAIN, _VALID = SPLITS.index("train"), SPLITS.index("valid")


def leak_notes(retrieval: Recipe, ranking: Recipe, source: Source, tested: Indices) -> list[str]:
    """Return notes about rows that test one run and were used to train the other.

    Rows that validated the ranker chose its epoch and fitted its calibration and its blend, so
    they make its lists look better too.

    Recipes of the same rows are compared row by row: even equal splits may differ, where one is
    made of the positives and the other of all rows. Others can only be compared by what they say.

    Args:
        retrieval: recipe of the run whose test queries are evaluated.
        ranking: recipe of the run that ranks.
        source: the rows of the retrieval recipe, positives or not.
        tested: numbers of the test rows among the positives.

    """
    if _rows_of(retrieval.data) != _rows_of(ranking.data):
        note = (
            f"the runs have other rows ({_named(retrieval.data)}, {_named(ranking.data)}): whether"
            " rows that test the retriever trained or validated the ranker cannot be told"
        )
        return [note]
    where = retrieval_section_of(retrieval).where
    rows = tested if where is None else _positives(source, where)[tested]
    same = retrieval.data.joins == ranking.data.joins
    of_ranking = source if same else training_source(ranking.data)
    splits = _splits_of(ranking, of_ranking, rows)
    return _counted(retrieval, ranking, splits)


def _counted(retrieval: Recipe, ranking: Recipe, of_ranker: NDArray[np.int8]) -> list[str]:
    """Say how many rows `[tested]` are where in the ranker's splits, if it matters."""
    trained, validated = (int((of_ranker == split).sum()) for split in (_TRAIN, _VALID))
    differ = retrieval.data.split != ranking.data.split
    splits = f" (splits: {_words(retrieval)}; {_words(ranking)})" if differ else ""
    if trained or validated:
        rows, effect = f"of {len(of_ranker):,} rows that test the retriever", "look better"
        if trained:
            overlap = f"{trained:,} {rows} trained the ranker and {validated:,} validated it"
        else:
            overlap = f"{validated:,} {rows} validated the ranker"
            effect = "may look a little better"
        note = (
            f"{overlap}{splits}: ranked lists {effect} than they are; give both recipes one split"
            " by group or by a column (one by time ends at other times for positives than for all"
            " rows)"
        )
        return [note]
    note = (
        f"the recipes split their rows differently{splits}, but no row that tests the retriever"
        " trained or validated the ranker"
    )
    return [note] if differ else []


def raw_at(source: Source, rows: Indices, columns: Sequence[str]) -> pl.DataFrame:
    """Return raw columns of rows of a source by number, in the order of `rows`.

    Raises:
        DataError: a column is missing.

    """
    if not columns:
        return pl.DataFrame()
    require_columns(source, columns)
    order = np.argsort(rows, kind="stable")
    sorted_rows, found = rows[order], list[pl.DataFrame]()
    for chunk in source.chunks(columns):
        first, last = np.searchsorted(sorted_rows, [chunk.index, chunk.index + chunk.frame.height])
        found.append(chunk.frame[sorted_rows[first:last] - chunk.index])
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    return pl.concat(found, how="vertical_relaxed")[back]


def _rows_of(data: Data) -> tuple[str | int | None, ...]:
    return data.path, data.valid, data.test, data.rows, data.seed


def _named(data: Data) -> str:
    return data.path or "a data frame"


def _words(recipe: Recipe) -> str:
    return split_words(recipe.data.split)


def _positives(source: Source, where: str) -> Indices:
    """Return the number of each positive among all rows."""
    columns, found = filter_columns(where), list[Indices]()
    for chunk in source.chunks(columns):
        condition = parse_filter(where, dict(chunk.frame.schema))
        fits = chunk.frame.select(condition.alias("fits"))["fits"].to_numpy()
        found.append(np.flatnonzero(fits) + chunk.index)
    return np.concatenate(found)


def _splits_of(recipe: Recipe, source: Source, rows: Indices) -> NDArray[np.int8]:
    """Return the place in `SPLITS` that a recipe gives to each of the rows."""
    splitter = splitter_of(recipe, source)
    raw = raw_at(source, rows, splitter.columns)
    frame = pl.DataFrame([pl.Series(ROW, rows), *(s.alias(raw_name(s.name)) for s in raw)])
    return splitter.assign(frame)
