"""Offline evaluation of a funnel: the lists of every stage against the relevant items."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import DataError, QueryError, RunError
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.offline_rules import rule_notes, ruled_lists
from crosstower.funnel.queries import (
    FunnelQueries,
    popular_lists,
    queries_of_rows,
    queries_of_run,
    sample_of,
)
from crosstower.funnel.report import TRUE_VALUE, FunnelReport, lifts_of, stages_of, values_of
from crosstower.funnel.retrieved_columns import SCORE, SOURCES, score_column, source_column
from crosstower.funnel.source_figures import found_by_others, source_figures
from crosstower.funnel.stages import (
    ALL_ITEMS,
    BEST_ORDER,
    PERFECT,
    POPULAR,
    RETRIEVED,
    WITHOUT,
    best_order,
    lists_of,
    padded,
    perfect,
    stage_ranks,
    steps_of,
)
from crosstower.funnel.verdicts import verdicts_of
from crosstower.recipe.arguments import check_kinds
from crosstower.recipe.own_columns import ROW
from crosstower.retrieval.candidates import Retrieved, evaluated_candidates
from crosstower.storage.files import write_atomic
from crosstower.storage.folders import publish_changes
from crosstower.values.arrays import Floats, Indices

Truth = Callable[[pl.DataFrame], NDArray[Any]]
_BLOCK = 2**18  # (query, item) rows at once, to bound memory
_FEWEST = 20  # queries; a mean of fewer is meaningless


@dataclass(frozen=True)
class FunnelLists:
    """Lists `[Q, k]` of every stage, and the candidates `[Q, C]` behind them.

    `found` has the same candidates with their sources. `covered` `[Q]` masks the queries of stages
    that were evaluated on a sample only.
    """

    shown: dict[str, Indices]
    found: Retrieved
    covered: dict[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])
    notes: tuple[str, ...] = ()

    @property
    def candidates(self) -> Indices:
        """The candidates `[Q, C]`."""
        return self.found.places


def evaluate_funnel(
    funnel: Funnel,
    *,
    k: int = 10,
    data: Any = None,
    columns: Sequence[str] = (),
    limit: int = 20_000_000,
    truth: Truth | None = None,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> FunnelReport:
    """Evaluate the lists of all stages on the test queries of the retrieval run.

    The stages are: popular items, retrieved items, `ranked` by the first task of the ranker,
    `blended` and `diversified` if the ranking run has them, ranked and blended over all items (as
    if retrieval missed nothing), the best order of the candidates, and perfect lists. If the
    retrieval recipe has sources, the last of the ranker's lists is also made without each. All
    exclude the user's history if the retrieval recipe does.

    >>> import crosstower as ct
    >>> report = ct.evaluate_funnel(ct.Funnel.open("runs/items", "runs/clicks"), k=3)
    >>> [stage.name for stage in report.stages][:3]
    ['popular', 'retrieved', 'ranked']

    Args:
        funnel: an open funnel.
        k: length of the lists, at most the funnel's candidates.
        data: other test rows, a path or a table; histories are those of the rows of the retrieval
            run.
        columns: query columns that the retrieval recipe does not read, taken from the first row of
            a query. Do not name item columns: every candidate would get the value of the relevant
            item.
        limit: maximum number of (query, item) rows scored for the candidates, and again for all
            items; above it, queries are sampled, and a note says so.
        truth: returns the true value of each (query, item) row, such as the click probability in a
            synthetic dataset; called with the raw columns of query and item. The report then has
            `true_value@k`, the sum over the first k, for all stages except the best order and the
            perfect lists, which are defined by the labels.
        seed: of the sampled queries and of the bootstrap.
        on_progress: called after each stage and each block of queries.

    Raises:
        RecipeError: `funnel` is not an open funnel.
        QueryError: k or the limit is out of range, or the ranker needs a column that neither query
            nor item has.
        RunError: the rows of the retrieval run have changed or cannot be read.
        DataError: a column is missing, a cell is invalid, or `truth` does not return one finite
            number per row.

    """
    check_kinds(funnel=(funnel, Funnel))
    _check(funnel, k, limit)
    queries = (
        queries_of_run(funnel, columns, on_progress)
        if data is None
        else queries_of_rows(funnel, data, columns, on_progress)
    )
    queries = queries.sampled(max(limit // funnel.candidates, 1), seed)
    lists = funnel_lists(funnel, queries, k=k, limit=limit, seed=seed, on_progress=on_progress)
    return _report(funnel, queries, lists, k=k, truth=truth, seed=seed)


def write_funnel(funnel: Funnel, report: FunnelReport) -> Path:
    """Write the report as `funnel.json` into the folder of the ranking run."""
    path = funnel.ranking.folder / "funnel.json"
    write_atomic(path, json.dumps(report.plain(), indent=1, allow_nan=False).encode())
    publish_changes(funnel.ranking.folder, error=RunError)
    return path


def funnel_lists(
    funnel: Funnel,
    queries: FunnelQueries,
    *,
    k: int,
    limit: int,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> FunnelLists:
    """Return the lists of all stages; arguments as in `evaluate_funnel`."""
    evaluation, every = queries.evaluation, np.arange(len(queries))
    found = evaluated_candidates(
        funnel.retriever,
        queries.vectors,
        queries.evaluation,
        funnel.candidates,
        informed=queries.informed,
        segments=queries.segments,
    )
    candidates = found.places
    shown = {POPULAR: popular_lists(funnel, queries, k), RETRIEVED: padded(candidates, k)}
    ranker = _Ranker(funnel, queries, k, on_progress, found, found)
    ranked, notes = ranker.lists(every, lambda part: candidates[part], words="ranking candidates")
    shown |= ranked
    items = len(funnel.retriever.catalogue.ids)
    some = sample_of(len(queries), limit // items, seed)
    given = dict[str, NDArray[np.bool_]]()
    if len(some) < min(_FEWEST, len(queries)):
        notes.append(
            f"all {items:,} items were not ranked, as that exceeds the limit; raise the limit"
        )
    else:
        all_items = replace(ranker, found=None)
        whole, more = all_items.lists(some, ranker.all_items, words="ranking all items")
        notes += more
        shown |= {f"{ALL_ITEMS}{name}": ranked for name, ranked in whole.items()}
        given = {f"{ALL_ITEMS}{name}": np.isin(every, some) for name in whole}
    if 0 < len(some) < len(queries) and given:
        drawn = f"a sample of {len(some):,} queries, seed {seed}"
        notes.append(f"ranked over all {items:,} items: {drawn}")
    shown[BEST_ORDER] = best_order(candidates, evaluation.relevant, k)
    shown[PERFECT] = perfect(evaluation.relevant, queries=len(queries), k=k)
    return FunnelLists(shown, found, given, tuple(notes))


@dataclass(frozen=True)
class _Ranker:
    """Ranks items for queries, one block of rows at a time.

    `retrieved` are the candidates of the queries, `found` the same if they are what is ranked.
    """

    funnel: Funnel
    queries: FunnelQueries
    k: int
    on_progress: OnProgress
    retrieved: Retrieved
    found: Retrieved | None

    def lists(
        self,
        queries: Indices,
        candidates: Callable[[Indices], Indices],
        *,
        words: str,
    ) -> tuple[dict[str, Indices], list[str]]:
        """Return the lists `[Q, k]` by stage, and notes about rows that could not be scored.

        Queries outside the sample have empty lists.
        """
        width, done, skipped = candidates(queries[:1]).shape[1], 0, Counter[str]()
        lists: dict[str, Indices] = {}
        for start in range(0, len(queries), max(_BLOCK // width, 1)):
            part = queries[start : start + max(_BLOCK // width, 1)]
            places = candidates(part)
            block = self._block(part, places, skipped)
            for name, shown in block.items():
                whole = lists.setdefault(name, np.full((len(self.queries), self.k), -1, np.int64))
                whole[part] = shown
            done += int((places >= 0).sum())
            self.on_progress(words, done)
        left_out = [
            f"{words}: {count:,} of {done:,} rows left out for '{name}'"
            for name, count in skipped.items()
        ]
        return lists, left_out

    def all_items(self, part: Indices) -> Indices:
        """Return every item `[q, N]` for some queries, -1 for items of the history."""
        places = np.tile(np.arange(len(self.funnel.retriever.catalogue.ids)), (len(part), 1))
        query, item = self.queries.evaluation.seen
        row = np.searchsorted(part, query).clip(max=len(part) - 1)
        mine = part[row] == query
        places[row[mine], item[mine]] = -1
        return places

    def _columns_of_retrieval(self, query: Indices, item: Indices) -> list[pl.Series]:
        """Return the columns of retrieval `[rows]` that the ranker reads."""
        wanted, retriever, columns = (
            self.funnel.rows.retrieved,
            self.funnel.retriever,
            list[pl.Series](),
        )
        if SCORE in wanted:
            vectors, known = self.queries.vectors[query], self.queries.informed[query]
            columns.append(score_column(vectors, retriever.online_items.vectors(item), known))
        if SOURCES in wanted and retriever.sources is not None:
            ranks = self.retrieved.ranks_of(query, item)
            columns.append(source_column(ranks, retriever.sources.quotas))
        return columns

    def _block(self, part: Indices, places: Indices, skipped: Counter[str]) -> dict[str, Indices]:
        query, column = np.nonzero(places >= 0)
        item = places[query, column]
        columns = self._columns_of_retrieval(part[query], item)
        scored = self.funnel.score(
            self.queries.columns, part[query], item, retrieved=columns, skipped=skipped
        )
        row = scored[ROW].to_numpy()
        diversity = None if self.found is None else self.funnel.diversity
        ranks = stage_ranks(scored, query[row], task=self.funnel.task, diversity=diversity)
        shape = len(part), self.k
        query, column, item = query[row], column[row], item[row]
        lists = {name: lists_of(rank, query, item, shape=shape) for name, rank in ranks.items()}
        if self.found is None:
            return lists
        lists |= ruled_lists(self.funnel, scored, ranks, query, item, shape=shape)
        for source, name in enumerate(self.found.names if len(self.found.names) > 1 else ()):
            kept = np.flatnonzero(found_by_others(self.found, source)[part[query], column])
            few = stage_ranks(scored[kept], query[kept], task=self.funnel.task, diversity=diversity)
            last = list(few.values())[-1]
            lists[f"{WITHOUT}{name}"] = lists_of(last, query[kept], item[kept], shape=shape)
        return lists


def _report(
    funnel: Funnel,
    queries: FunnelQueries,
    lists: FunnelLists,
    *,
    k: int,
    truth: Truth | None,
    seed: int,
) -> FunnelReport:
    relevant = queries.evaluation.relevant
    values = values_of(lists.shown, relevant, k, covered=lists.covered)
    if truth is not None:
        for name, shown in lists.shown.items():
            if name in (BEST_ORDER, PERFECT):  # defined by the labels, not by the truth
                continue
            worth = _true_values(funnel, queries, shown, truth)
            mine = lists.covered.get(name, np.ones(len(queries), dtype=bool))
            values[name][f"{TRUE_VALUE}@{k}"] = np.where(mine, worth, np.nan)
    lifts = lifts_of(values, seed=seed)
    steps = steps_of(lists.candidates, lists.shown, relevant)
    items = len(funnel.retriever.catalogue.ids)
    sources = funnel.retriever.sources
    quotas = {} if sources is None else sources.quotas
    figures = source_figures(lists.found, quotas, relevant)
    sizes = {"relevant": len(relevant[0]), "candidates": funnel.candidates, "items": items, "k": k}
    return FunnelReport(
        retrieval=str(funnel.retriever.run.folder),
        ranking=str(funnel.ranking.folder),
        source=queries.source,
        queries=len(queries),
        **sizes,
        stages=stages_of(values, seed=seed),
        lifts=lifts,
        steps=steps,
        verdicts=verdicts_of(steps, lifts, sources=figures, **sizes),
        notes=(*queries.notes, *rule_notes(funnel.rules), *lists.notes),
        sources=figures,
    )


def _true_values(funnel: Funnel, queries: FunnelQueries, shown: Indices, truth: Truth) -> Floats:
    """Return the true value of each list `[Q]`."""
    query, place = np.nonzero(shown >= 0)
    rows = funnel.rows.whole(queries.columns, query, shown[query, place])
    worth = np.asarray(truth(rows), dtype=np.float64)
    if worth.shape != (rows.height,) or not np.isfinite(worth).all():
        raise DataError(
            f"truth: expected a finite number for each of {rows.height:,} rows, got shape"
            f" {list(worth.shape)}{'' if np.isfinite(worth).all() else ' with NaN or infinity'};"
            " return one number per row"
        )
    return np.bincount(query, worth, minlength=len(shown)).astype(np.float64)


def _check(funnel: Funnel, k: int, limit: int) -> None:
    funnel.check_k(k)
    if limit < funnel.candidates:
        raise QueryError(
            f"limit: expected at least {funnel.candidates:,} rows, the candidates of one query,"
            f" got {limit:,}; raise it"
        )
