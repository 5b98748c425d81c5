"""Retrieval scores and sources of ranking rows, from a retriever trained on earlier rows only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.counters.earlier_values import EarlierValues
from crosstower.data.counters.keys import hashes_of
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.reading import source_of, training_source
from crosstower.data.sources.source import FilteredSource, Source, require_columns
from crosstower.data.split import HISTORY_ROWS, SPLITS
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError, RunError
from crosstower.funnel.online.candidates import columns_of
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked, RequestState
from crosstower.funnel.queries import check_same, positives_of
from crosstower.funnel.retrieved_columns import RETRIEVED, SCORE
from crosstower.recipe.own_columns import MARK, raw_name, time_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import order_of
from crosstower.retrieval.data.evaluation_queries import evaluation_queries
from crosstower.retrieval.data.positive_rows import PositiveRows
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run
from crosstower.values.arrays import Indices

_AT_ONCE = 256  # requests
_WHOLE = 2**40  # longest history
_KNOWN = f"{MARK}known"


@dataclass(frozen=True)
class RetrievalFeatures:
    """Rows with the columns of retrieval.

    Args:
        frame: columns of the rows, and those of `RETRIEVED`.
        trained: number of rows left out, as they are not later than the retriever's training.
        untimed: number of rows left out, as they have no time.

    """

    frame: pl.DataFrame
    trained: int
    untimed: int


def retrieval_features(
    run: Run | str | Path, data: Any, *, on_progress: OnProgress = no_progress
) -> RetrievalFeatures:
    """Add the retrieval score and the sources to ranking rows, each as of the time of its row.

    A score of a row that the retriever has learned from would leak its label. Rows up to the last
    training row of the retriever are therefore left out: all others are scored by a model, and by
    sources, of earlier rows only. The history of a row is its user's positives strictly
    before the row: those of the run, and after their end those of `data`, as in a server.

    >>> import crosstower as ct
    >>> found = ct.retrieval_features("runs/items", "july.parquet")
    >>> found.frame.columns[-1], found.trained
    ('retrieval.score', 0)

    Args:
        run: a retrieval run, or its folder; its recipe has a time column, and splits by time.
        data: rows with the query columns of the retrieval recipe, user, item and time: a path, or a
            polars, pandas or Arrow table.
        on_progress: called with the number of rows done.

    Returns:
        `retrieval.score` is the inner product of the vectors of query and item; missing if the
        query tower knows nothing of the query, or the item is unknown. `retrieval.sources` are the
        names of the sources that find the item within their quotas, if the recipe has sources.

    Raises:
        RunError: the run ranks, its rows have changed, or it has no times.
        DataError: a column is missing, or no row is later than the retriever's training.

    """
    retriever = Retriever.open(run)
    recipe = retriever.run.recipe
    time = retrieval_section_of(recipe).time or order_of(recipe.data.split)
    if time is None:
        raise RunError(
            f"{retriever.run.folder}: its rows have no times, so earlier rows cannot be told from"
            " later ones; set retrieval.time, and split by time"
        )
    source = source_of(recipe.data, data)
    kept = source_of(recipe.data.model_copy(update={"joins": ()}), data).columns()
    known = _Known.of(retriever, source, time)
    maker, parts = _Maker(retriever), list[pl.DataFrame]()
    done = trained = untimed = 0
    for chunk in source.chunks(list(dict.fromkeys([*kept, *maker.read(source), time]))):
        times = known.clock.read(chunk.frame[time])
        untimed += times.null_count()
        later = (times > known.trained).fill_null(value=False)
        trained += chunk.frame.height - times.null_count() - int(later.sum())
        rows = chunk.frame.filter(later)
        instants = times.filter(later).to_numpy()
        histories, ages = known.histories(rows, instants), None
        if retriever.queries.reads_times:
            ages = known.histories(rows, instants, ages=True)
        parts.append(rows.select(kept).with_columns(maker.columns(rows, histories, ages)))
        done += chunk.frame.height
        on_progress("retrieving", done)
    if not sum(part.height for part in parts):
        raise _nothing_left(retriever, source, known.clock, trained, untimed)
    return RetrievalFeatures(pl.concat(parts), trained, untimed)


def _nothing_left(
    retriever: Retriever, source: Source, clock: Clock, trained: int, untimed: int
) -> DataError:
    """Return why no row can have the columns."""
    folder = retriever.run.folder
    if not trained:
        return DataError(
            f"{source.name}: no row has a time as in {folder} ({clock.words}); all {untimed:,} are"
            " missing or of another form; give times in the form of that run's rows"
        )
    more = f" ({untimed:,} other rows have no time that can be read)" if untimed else ""
    return DataError(
        f"{source.name}: no row is later than the last training row of {folder}, so each score"
        f" would leak{more}; split the retrieval recipe by time, or give later rows"
    )


@dataclass(frozen=True)
class _Known:
    """Data known before each row: the end of training, and histories."""

    clock: Clock
    trained: int
    user: str | None
    values: EarlierValues

    @staticmethod
    def of(retriever: Retriever, source: Source, time: str) -> _Known:
        run, section = retriever.run, retrieval_section_of(retriever.run.recipe)
        if not run.recipe.data.is_named:
            raise RunError(
                f"{run.folder}: was trained on a data frame, so the times of its rows are unknown;"
                " train on a file"
            )
        own = training_source(run.recipe.data)
        rows = positives_of(retriever, run.recipe, own, no_progress)
        by_user = section.user is not None
        test = SPLITS.index("test")
        check_same(run, evaluation_queries(rows, test, by_user=by_user, seen=section.seen_rule))
        clock = next(one for one in rows.clocks if one.column == time)
        times = rows.frame[time_name(time)].to_numpy()
        keys = np.zeros(len(times), np.uint64)
        if section.user is not None:
            keys = hashes_of(rows.frame[raw_name(section.user)])
        more = _later(retriever, source, clock, int(times.max()))
        places = pl.Series(np.concatenate([rows.item, more[2]]))
        values = EarlierValues(
            np.concatenate([keys, more[0]]), np.concatenate([times, more[1]]), places
        )
        return _Known(clock, int(times[_trained(run.recipe, rows)].max()), section.user, values)

    def histories(
        self, rows: pl.DataFrame, times: NDArray[np.int64], *, ages: bool = False
    ) -> list[Indices]:
        """Return the places of each row's earlier items, oldest first; or their ages in seconds."""
        if self.user is None:
            return [np.empty(0, np.int64)] * rows.height
        read = self.values.ages if ages else self.values.at
        found = read(hashes_of(rows[self.user]), times, length=_WHOLE)
        return [places.to_numpy().astype(np.int64) for places in found]


def _trained(recipe: Recipe, rows: PositiveRows) -> NDArray[np.bool_]:
    """Return which positives the retriever and its sources have learned from."""
    last = SPLITS.index("valid" if recipe.training.refit else "train")
    return (rows.split == HISTORY_ROWS) | ((rows.split >= 0) & (rows.split <= last))


def _later(
    retriever: Retriever, source: Source, clock: Clock, until: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64], Indices]:
    """Return user hashes, times and items of the positives of a source after a time."""
    section = retrieval_section_of(retriever.run.recipe)
    if section.user is None:
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    positives = source if section.where is None else FilteredSource(source, section.where)
    keys, times, items = [np.empty(0, np.uint64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    needed = [section.user, section.item, clock.column]
    require_columns(source, needed)
    for chunk in positives.chunks(needed):
        instants = clock.read(chunk.frame[clock.column])
        places = retriever.online_items.history_places(chunk.frame[section.item].to_list())
        kept = (instants > until).fill_null(value=False).to_numpy() & (places >= 0)
        frame = chunk.frame.filter(pl.Series(kept))
        keys.append(hashes_of(frame[section.user]))
        times.append(instants.filter(pl.Series(kept)).to_numpy())
        items.append(places[kept])
    return np.concatenate(keys), np.concatenate(times), np.concatenate(items)


class _Maker:
    """Asks the path of requests for the candidates of rows.

    Args:
        retriever: whose recipe may have sources.

    """

    def __init__(self, retriever: Retriever) -> None:
        self._section = retrieval_section_of(retriever.run.recipe)
        self._ids, self._tower = retriever.catalogue.ids, retriever.queries
        sources = retriever.sources
        self._wanted = (SCORE,) if sources is None else RETRIEVED
        self._size = 1 if sources is None else sources.total
        self._funnel = OnlineFunnel(retriever, candidates=self._size)
        named = [self._section.user, *self._funnel.query_columns]
        self._names = list(dict.fromkeys(name for name in named if name is not None))

    def read(self, source: Source) -> list[str]:
        """Return the columns that are read of rows.

        Raises:
            DataError: one is missing.

        """
        read = [*self._names, self._section.item]
        require_columns(source, read)
        return read

    def columns(
        self, rows: pl.DataFrame, histories: list[Indices], ages: list[Indices] | None = None
    ) -> list[pl.Series]:
        """Return the columns of retrieval `[R]` of rows; missing for an unknown item.

        Args:
            rows: `[R]` of raw columns.
            histories: of the rows, places of items.
            ages: of these, in seconds before the row; None if they are not read.

        """
        items = self._funnel.catalogue.items.places_of(rows[self._section.item].to_list())
        known, places = pl.Series(items >= 0), np.maximum(items, 0)
        parts = [self._of(RequestState(FunnelRequest()), places[:0])]
        parts += [
            self._of(state, places[span]) for state, span in self._retrieved(rows, histories, ages)
        ]
        found = pl.concat(parts).with_columns(known.alias(_KNOWN))
        missing = (pl.when(_KNOWN).then(name).alias(name) for name in self._wanted)
        return found.select(*missing).get_columns()

    def _of(self, state: RequestState, places: Indices) -> pl.DataFrame:
        """Return the columns of retrieval of items."""
        state.found = Ranked(places, np.zeros(len(places)))
        return pl.DataFrame(list(columns_of(self._wanted, state, self._funnel.catalogue)))

    def _retrieved(
        self, rows: pl.DataFrame, histories: list[Indices], ages: list[Indices] | None
    ) -> Iterator[tuple[RequestState, slice]]:
        """Yield a request, after retrieval, per span of rows with the same query and history."""
        named, requests, starts = self._names, list[FunnelRequest](), list[int]()
        before: tuple[Any, ...] | None = None
        for row, values in enumerate(rows.select(named).iter_rows()):
            since = None if ages is None else tuple(ages[row].tolist())
            key = (values, histories[row].tolist(), since)
            if key != before:
                query = dict(zip(named, values, strict=True))
                requests.append(self._request(query, histories[row], since))
                starts.append(row)
            before = key
        spans = [slice(*ends) for ends in pairwise([*starts, rows.height])]
        for first in range(0, len(requests), _AT_ONCE):
            states = [RequestState(one) for one in requests[first : first + _AT_ONCE]]
            self._funnel.retrieve(states)
            for state, span in zip(states, spans[first : first + _AT_ONCE], strict=True):
                if state.error is not None:
                    raise DataError(f"the rows: {state.error}") from state.error
                yield state, span

    def _request(
        self, row: dict[str, Any], history: Indices, ages: tuple[int, ...] | None
    ) -> FunnelRequest:
        user = None if self._section.user is None else row.pop(self._section.user)
        if self._tower.history_only and not len(history):
            user = None  # unknown at the time of the row
        ids = tuple(self._ids.gather(history).to_list())
        return FunnelRequest(user, row, k=1, candidates=self._size, history=ids, history_ages=ages)
