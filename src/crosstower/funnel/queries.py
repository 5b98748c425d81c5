"""Evaluation queries of a funnel: users, query columns, relevant items and items to exclude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.progress import OnProgress
from crosstower.data.reading import source_of, training_source, undivided
from crosstower.data.sources.source import FilteredSource, Source
from crosstower.data.split import SPLITS
from crosstower.errors import DataError, RunError
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.leaks import leak_notes, raw_at
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.baselines.baseline import histories_of
from crosstower.retrieval.baselines.popularity import Popularity
from crosstower.retrieval.baselines.top_items import recommend
from crosstower.retrieval.candidates import evaluated_queries
from crosstower.retrieval.data.evaluation_queries import (
    EvaluationQueries,
    evaluation_queries,
    queries_from_rows,
)
from crosstower.retrieval.data.items import ItemTable
from crosstower.retrieval.data.positive_rows import PositiveRows, read_positives
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.evaluate import earlier_of
from crosstower.retrieval.evaluation_fallback import query_segments
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import COUNT, ID, read_queries
from crosstower.training.run import Run
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id

_TEST = SPLITS.index("test")


@dataclass(frozen=True)
class FunnelQueries:
    """Q queries: relevant items and histories, raw query columns `[Q]`, vectors `[Q, D]`.

    `segments` `[Q]` are those of the queries' rows; None if the retrieval recipe has no segment.
    `informed` `[Q]` marks the queries with data for the query tower.
    """

    source: str
    evaluation: EvaluationQueries
    columns: pl.DataFrame
    vectors: NDArray[np.float32]
    notes: tuple[str, ...]
    informed: NDArray[np.bool_]
    segments: tuple[Id | None, ...] | None = None

    def __len__(self) -> int:
        """Return Q."""
        return len(self.evaluation)

    def sampled(self, count: int, seed: int) -> FunnelQueries:
        """Return at most `count` of them, drawn without replacement, and say so in a note."""
        if count >= len(self):
            return self
        kept = sample_of(len(self), count, seed)
        queries = self.evaluation
        note = f"a sample of {count:,} of {len(self):,} queries, seed {seed}"
        return FunnelQueries(
            self.source,
            replace(
                queries,
                ids=queries.ids.gather(kept),
                rows=queries.rows[kept],
                users=queries.users[kept],
                times=None if queries.times is None else queries.times[kept],
                relevant=pairs_of(queries.relevant, kept),
                seen=pairs_of(queries.seen, kept),
            ),
            self.columns[kept],
            self.vectors[kept],
            (*self.notes, note),
            self.informed[kept],
            None if self.segments is None else tuple(self.segments[i] for i in kept.tolist()),
        )


def sample_of(total: int, count: int, seed: int) -> Indices:
    """Return `count` of `total` places, ascending."""
    random = np.random.default_rng(seed)
    return np.sort(random.choice(total, min(count, total), replace=False))


def pairs_of(pairs: tuple[Indices, Indices], kept: Indices) -> tuple[Indices, Indices]:
    """Return the (query, item) pairs of some queries, ascending, renumbered."""
    place = np.searchsorted(kept, pairs[0]).clip(max=max(len(kept) - 1, 0))
    mine = kept[place] == pairs[0]
    return place[mine], pairs[1][mine]


def queries_of_run(
    funnel: Funnel, columns: Sequence[str], on_progress: OnProgress
) -> FunnelQueries:
    """Return the test queries of the retrieval run, recomputed from its rows.

    Args:
        funnel: an open funnel.
        columns: data columns of the rows to add to the retrieval recipe's columns of the query.
        on_progress: called with the number of rows read.

    Raises:
        RunError: the run was trained on a data frame, or its rows have changed since.
        DataError: a column is missing.

    """
    run = funnel.retriever.run
    if not run.recipe.data.is_named:
        raise RunError(
            f"{run.folder}: was trained on a data frame, whose test queries cannot be created"
            " again; give rows that it has not seen (data), or train on a file"
        )
    source = training_source(run.recipe.data)
    rows = positives_of(funnel.retriever, run.recipe, source, on_progress)
    section = retrieval_section_of(run.recipe)
    by_user = section.user is not None
    queries = evaluation_queries(rows, _TEST, by_user=by_user, seen=section.seen_rule)
    check_same(run, queries)
    tested = rows.frame[ROW].to_numpy()[rows.split == _TEST]
    notes = leak_notes(run.recipe, funnel.ranking.recipe, source, tested)
    return _with_columns(funnel, _Found(source, rows, queries, notes), columns)


def queries_of_rows(
    funnel: Funnel, data: Any, columns: Sequence[str], on_progress: OnProgress
) -> FunnelQueries:
    """Return queries of other rows, whose users have the histories of the run's rows.

    Raises:
        DataError: a column is missing, no row is a positive, an item is not in the catalogue, or
            nothing is to be found.

    """
    run = funnel.retriever.run
    source = source_of(run.recipe.data, data)
    recipe = undivided(run.recipe, times=bool(funnel.rows.ages.columns))
    rows, section = (
        positives_of(funnel.retriever, recipe, source, on_progress),
        retrieval_section_of(recipe),
    )
    queries = queries_from_rows(
        rows,
        np.arange(len(rows.user)),
        earlier_of(run, rows),
        by_user=section.user is not None,
        seen=section.seen_rule,
    )
    if not len(queries):
        raise DataError(
            f"{source.name}: no relevant item is left: all are in the histories of their"
            " users; give rows that the run has not seen, or set retrieval.exclude_seen: false"
        )
    notes: list[str] = []
    if _is_path_of(data, funnel.ranking.recipe):
        notes.append("the ranking run was made of these rows: ranked lists look too good")
    return _with_columns(funnel, _Found(source, rows, queries, notes), columns)


def _is_path_of(data: Any, recipe: Recipe) -> bool:
    """Return whether data are given by the path of a recipe, in any spelling."""
    path = recipe.data.path
    if path is None or not isinstance(data, str | Path):
        return False
    return Path(data).resolve() == Path(path).resolve()


def positives_of(
    retriever: Retriever, recipe: Recipe, source: Source, on_progress: OnProgress
) -> PositiveRows:
    """Return the positives of a source, with the items of a retriever.

    Args:
        retriever: has the items.
        recipe: of the retriever, or one that divides the rows otherwise.
        source: of the rows.
        on_progress: called with the number of rows read.

    Raises:
        DataError: a column is missing, no row is a positive, or an item is not in the catalogue.

    """
    table = ItemTable(retriever.items[ID], retriever.catalogue.attributes, pl.DataFrame())
    return read_positives(recipe, source, tower_columns_of(recipe), on_progress, items=table)


@dataclass(frozen=True)
class _Found:
    """Queries of the positives of a source."""

    source: Source
    rows: PositiveRows
    evaluation: EvaluationQueries
    notes: list[str]


def _with_columns(funnel: Funnel, found: _Found, columns: Sequence[str]) -> FunnelQueries:
    """Add the raw columns and the vectors of the queries."""
    run, queries = funnel.retriever.run, found.evaluation
    frame = found.rows.take(queries.rows)
    side = PartialEncoder(run.encoder, tower_columns_of(run.recipe).query)
    vectors, informed = evaluated_queries(funnel.retriever, queries, side.encode(frame))
    skipped = [f"{n:,} rows left out for '{name}'" for name, n in found.rows.skipped.items()]
    return FunnelQueries(
        source=found.source.name,
        evaluation=queries,
        columns=_columns(funnel, found, frame, columns),
        vectors=vectors.numpy(),
        notes=(*skipped, *found.notes, *_seen_words(queries)),
        informed=informed,
        segments=query_segments(run.recipe, frame),
    )


def _seen_words(queries: EvaluationQueries) -> list[str]:
    return [queries.counts.words()] if queries.counts is not None else []


def _columns(
    funnel: Funnel, found: _Found, frame: pl.DataFrame, columns: Sequence[str]
) -> pl.DataFrame:
    """Return the raw columns of the queries: those that a query always has, and others named."""
    source, queries = found.source, found.evaluation
    funnel.rows.check_more(columns)
    where = retrieval_section_of(funnel.retriever.run.recipe).where
    positives = source if where is None else FilteredSource(source, where)
    known = [frame[raw_name(name)].alias(name) for name in funnel.rows.known]
    columns = list(dict.fromkeys([*columns, *funnel.rows.times]))
    more = raw_at(positives, frame[ROW].to_numpy(), columns)
    raw = pl.DataFrame(known).with_columns(more.get_columns())
    if funnel.rows.history is not None and funnel.rows.history not in columns:
        raw = raw.with_columns(_histories(funnel, queries))
    for column, ages in funnel.rows.ages.columns.items():
        if ages not in raw.columns:
            raise _untimed(column)
    funnel.rows.check_had(raw.columns, source.columns())
    return raw


def _histories(funnel: Funnel, queries: EvaluationQueries) -> list[pl.Series]:
    """Return the ids `[Q]` of each user's newest earlier items, as the ranker's history.

    They are followed by the ages of these events, if the ranker reads them.
    """
    (query, places), rows = queries.earlier.places(queries.users), funnel.rows
    ids = funnel.retriever.catalogue.ids.gather(queries.earlier.items[places])
    ends = np.searchsorted(query, np.arange(len(queries) + 1)).tolist()
    kept = [slice(max(a, b - rows.history_length), b) for a, b in pairwise(ends)]
    column = str(rows.history)
    found = [pl.Series(column, [ids[one] for one in kept], dtype=pl.List(ids.dtype))]
    if column in rows.ages.columns:
        if queries.times is None or queries.earlier.times is None:
            raise _untimed(column)
        ages = np.maximum(queries.times[query] - queries.earlier.times[places], 0)
        lists = [ages[one] for one in kept]
        found.append(pl.Series(rows.ages.columns[column], lists, dtype=pl.List(pl.Int64)))
    return found


def _untimed(column: str) -> DataError:
    return DataError(
        f"column '{column}': the ranker reads the times of its events, which the queries lack: fill"
        " it by retrieval.history, and set retrieval.time; then train the retriever again"
    )


def check_same(run: Run, queries: EvaluationQueries) -> None:
    """Reject rows whose queries are not those that the training stored.

    Raises:
        RunError: the rows have changed.

    """
    stored = read_queries(run)
    same = len(stored.ids) == len(queries) and stored.ids.equals(queries.ids)
    if not same or not all(
        np.array_equal(a, b) for a, b in zip(stored.relevant, queries.relevant, strict=True)
    ):
        raise RunError(
            f"{run.folder}: the rows have changed since this run was trained; put the data back,"
            " or train again"
        )


def popular_lists(funnel: Funnel, queries: FunnelQueries, k: int) -> Indices:
    """Return the items with the most training rows of the retrieval run."""
    counts = funnel.retriever.items[COUNT].to_numpy().astype(np.float32)
    nothing = np.empty(0, np.int64)
    histories = histories_of(nothing, nothing, shape=(len(queries), len(counts)))
    return recommend(Popularity(counts), histories, k, seen=queries.evaluation.seen)
