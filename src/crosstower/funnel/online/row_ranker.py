"""Rank whole raw rows that a request gives, for candidates that are in no catalogue."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from crosstower.blending.columns import column_of
from crosstower.blending.rules.attributes import RuleRows
from crosstower.blending.rules.check import check_rules
from crosstower.blending.rules.pacing import Ledger
from crosstower.data.content_types import ContentTypes
from crosstower.data.filters.filter import filter_columns
from crosstower.data.sources.frames import series_of
from crosstower.data.sources.joins import join
from crosstower.data.sources.source import Chunk, FrameSource, Source
from crosstower.errors import DataError, QueryError, did_you_mean
from crosstower.funnel.history_ages import HistoryAges
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.counters import OnlineCounters
from crosstower.funnel.online.order import ordered
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.funnel.online.rules import ruled
from crosstower.funnel.row_maker import before_counts
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import RawArrays, Scorer
from crosstower.recipe.kinds.calendar import present_minute
from crosstower.recipe.row_times import row_times
from crosstower.recipe.rules import Rules
from crosstower.retrieval.history_ages import now_in_seconds

_SHOWN = 60  # characters of an unknown name


class RowRanker:
    """Ranks candidates that a request gives with all their columns.

    Args:
        ranker: an open ranker.
        blends: the blends that requests can select.
        counters: counts of events that the ranker reads.
        others: columns that rows may have although the ranker does not read them, such as the
            other attributes of items.
        rules: of all lists; a request can add some.
        ledger: spending of the campaigns of rules.

    """

    def __init__(
        self,
        ranker: Ranker,
        blends: Blends,
        counters: OnlineCounters,
        *,
        others: Iterable[str] = (),
        rules: Rules | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.scorer, self.blends, self.counters = ranker.scorer(), blends, counters
        # The tables that rows are joined to, read once.
        self._joins = list(ranker.run.recipe.data.joins)
        self._tables = [pl.read_parquet(j.path) for j in self._joins]
        pairs = zip(self._joins, self._tables, strict=True)
        self._added = {c: join.on for join, t in pairs for c in t.columns if c != join.on}
        schema, keys = self.scorer.encoder.schema, (j.on for j in self._joins)
        self._tasks, self._counts = list(schema.tasks), schema.counts()
        own = row_times(ranker.run.recipe)
        self._row_times = {n: how for n, how in schema.row_times().items() if n in own}
        self._rules, self._ledger = rules or Rules(), ledger or Ledger()
        self._ages = HistoryAges.of(schema, ranker.run.recipe.data.times)
        read = [*self._given(schema.sources()), *self._ages.times]
        self._others = frozenset([*read, *schema.tasks, *keys, *others]) - set(self._added)

    def rank(self, request: FunnelRequest, rows: Sequence[Mapping[str, Any]]) -> Ranked:
        """Return rows in order; `places` are their numbers, from 0.

        A row without a column of `request.query` gets the query's value, and one without its own
        time that of the request.

        Raises:
            QueryError: a column is missing, a value is bad, the blend or a rule is wrong, or the
                request has exploration.

        """
        begin = time.perf_counter()
        request = self._timed(request, rows)
        if request.explore is not None:
            raise QueryError("explore: rows cannot be drawn; recommend items, or rank item ids")
        rules = self._rules.with_request(request.rules)
        scorer = replace(self.scorer, blend=self.blends.of(request.blend))
        cleaner = scorer.cleaner()
        try:
            raw = self._raw(request.query, rows, self._given(cleaner.sources()))
            counted = self.counters.of_rows(raw)
            raw = raw.with_columns(counted.columns())
            raw = raw.with_columns(self._ages.of_rows(raw, now_in_seconds()))
            frame = cleaner.clean(Chunk(raw, "the rows", 0, 0))
        except DataError as error:
            raise QueryError(f"rows: {str(error).partition(', or set data.')[0]}") from None
        raw = scorer.raw(frame)
        arrays = _arrays(scorer, raw)
        scores = scorer.combine(scorer.logits(scorer.encoder.encode(frame)), arrays)
        scored = time.perf_counter()
        found = Ranked(places=np.arange(len(rows)), score=np.zeros(len(rows)), rows_given=True)
        if request.explain and self._counts:
            found = replace(found, counted=counted)
        found = ordered(found, scores, arrays.types, self._tasks, self.blends)
        blended = time.perf_counter()
        spent = {"rank": scored - begin, "blend": blended - scored}
        if rules.given():
            found = self._ruled(found, rules, request, rows)
            spent["rules"] = time.perf_counter() - blended
        spent["total"] = time.perf_counter() - begin
        return replace(found, seconds=spent, began=begin)

    def _timed(self, request: FunnelRequest, rows: Sequence[Mapping[str, Any]]) -> FunnelRequest:
        """Return a request with the present as the time of rows that have none.

        It has the form of the times of other rows.
        """
        present, now = present_minute(), dict[str, Any]()
        for name, how in self._row_times.items():
            given = (row[name] for row in rows if row.get(name) is not None)
            now[name] = how.like(present, next(given, None))
        return replace(request, query={**now, **request.query})

    def _given(self, sources: Iterable[str]) -> list[str]:
        """Return the columns that rows give, out of those that the ranker reads."""
        return self._ages.without(before_counts(sources, self._counts))

    def _ruled(
        self, found: Ranked, rules: Rules, request: FunnelRequest, rows: Sequence[Mapping[str, Any]]
    ) -> Ranked:
        """Apply rules, which read the columns of the rows and the query."""
        names = dict.fromkeys(name for row in (request.query, *rows) for name in row)
        table = _table(names, request.query, rows)
        if request.rules is not None:
            check_rules(request.rules, dict(table.schema), vectors=False)
        read = [
            *rules.columns(),
            *(n for _, text in rules.conditions() for n in filter_columns(text)),
        ]
        missing = dict.fromkeys(name for name in read if name not in names)
        table = table.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing)
        ordered_rows = RuleRows.of_table(table[found.places], found.places.tolist())
        if rules.needs_vectors:  # of the bundle: these rows have none
            rules = rules.model_copy(update={"mmr": None, "dpp": None})
            words = "rules: mmr and dpp of the bundle are left out, as rows have no vectors"
            found = replace(found, notices=(*found.notices, words))
        return ruled(found, rules, ordered_rows, request, self._ledger)

    def _raw(
        self, query: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], needed: Sequence[str]
    ) -> pl.DataFrame:
        """Return the columns that are read, those of joined tables among them."""
        source: Source = FrameSource(self._frame(query, rows, needed), "the rows")
        for other, table in zip(self._joins, self._tables, strict=True):
            source = join(source, table, on=other.on)
        _check(needed, source)
        times = [name for name in self._ages.times if name in source.columns()]
        return pl.concat([chunk.frame for chunk in source.chunks([*needed, *times])])

    def _frame(
        self, query: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], needed: Sequence[str]
    ) -> pl.DataFrame:
        """Return the columns that are read; other names are rejected before anything is built."""
        read = [*(n for n in needed if n not in self._added), *(j.on for j in self._joins)]
        known = self._others.union(read)
        for name in self._added.keys() & set(query).union(*rows):
            raise QueryError(
                f"rows: '{name}' comes from a joined table, by '{self._added[name]}'; leave it out"
            )
        _check_cells("query", query, known)
        for number, row in enumerate(rows):
            _check_cells(f"rows[{number}]", row, known)
        given = set(query).union(*rows)
        read += self._ages.times
        names = [name for name in dict.fromkeys(read) if name in given]
        return _table(names, query, rows)


def _table(
    names: Iterable[str], query: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> pl.DataFrame:
    """Return columns of rows, with the query's value where a row has none."""
    columns = {name: [row.get(name, query.get(name)) for row in rows] for name in names}
    return pl.DataFrame([series_of(name, values) for name, values in columns.items()])


def _arrays(scorer: Scorer, raw: pl.DataFrame) -> RawArrays:
    """Return the raw columns that come after the model, those for diversity as well."""
    try:
        arrays = scorer.arrays(raw)
        more = [name for name in scorer.typed if name not in arrays.types]
        types = {name: ContentTypes.of(column_of(raw, name)) for name in more}
        return RawArrays({**arrays.types, **types}, arrays.amounts)
    except DataError as error:
        raise QueryError(f"rows: {error}") from None


def _check_cells(where: str, row: Mapping[str, Any], known: Collection[str]) -> None:
    """Reject unknown columns and objects: each of their names would make a column of all rows."""
    for name, value in row.items():
        if name not in known:
            shown = f"{name[:_SHOWN]}…" if len(name) > _SHOWN else name
            hint = did_you_mean(shown, sorted(known))
            raise QueryError(
                f"{where}: no column '{shown}'{hint}; the ranker reads: {', '.join(sorted(known))}"
            )
        inner = value if isinstance(value, list) else [value]
        if any(isinstance(cell, dict | list) for cell in inner):
            raise QueryError(
                f"{where}: '{name}' holds an object or a list of lists; expected a value or a list"
                " of values"
            )


def _check(needed: Sequence[str], source: Source) -> None:
    there = source.columns()
    for name in needed:
        if name not in there:
            raise QueryError(
                f"rows: no column '{name}', which the ranker reads; give it with each row, or with"
                " the query"
            )
