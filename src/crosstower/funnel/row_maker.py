"""The raw rows that a ranker scores: columns of a query and of candidate items."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import polars as pl

from crosstower.data.counters.counted_source import (
    CountedSource,
    EventHistory,
    event_history,
)
from crosstower.data.sources.joins import JoinedSource, JoinMatch, join, table_matches
from crosstower.data.sources.source import FrameSource, Source
from crosstower.errors import QueryError, RunError, did_you_mean
from crosstower.funnel.history_ages import HistoryAges
from crosstower.funnel.retrieved_columns import read_columns
from crosstower.recipe.csv import Csv
from crosstower.recipe.data import Join
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.row_times import row_times
from crosstower.recipe.schema import Schema, Sequence
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class RowMaker:
    """Knows where each raw column of a ranking recipe comes from.

    A column is the query's if the retrieval recipe reads it only on the query side, or if it is
    the column of the user's id; otherwise the item's if the item table (`items` `[N]`, by place)
    has it; otherwise it must be given with the query. What the ranking recipe joins is joined.

    A sequence that the retrieval recipe fills with the user's history is filled for the ranker as
    well: `history` is its raw column, `history_length` the most items that the ranker reads of it.
    `ages` are the columns with the ages of histories.
    Counts of events are read by their keys, which are columns like any other. Rows of evaluated
    queries count the `events` before the time of the query. `retrieved` are the columns of
    retrieval that the ranker reads, which the funnel fills. `row_times` are columns of a query with
    its own time: that of the request, unless it is given. `other_times` are such columns of the
    retrieval recipe that the ranker reads as something else than a time, so they must be given.

    `query_columns` are those of the retrieval recipe, `user` is the column of the user's id (None
    if it has no users), `from_items` and `from_query` are the columns that the ranker needs.
    `segment` is the column of the segment, which a query may have even if no model reads it.
    """

    items: pl.DataFrame
    query_columns: tuple[str, ...]
    user: str | None
    from_items: tuple[str, ...]
    from_query: tuple[str, ...]
    tables: tuple[JoinedSource, ...]
    history: str | None = None
    history_length: int = 0
    ages: HistoryAges = field(default_factory=HistoryAges)
    counts: tuple[EventCount, ...] = ()
    events: EventHistory | None = None
    retrieved: tuple[str, ...] = ()
    row_times: tuple[str, ...] = ()
    other_times: tuple[str, ...] = ()
    segment: str | None = None

    @staticmethod
    def of(retriever: Retriever, ranking: Run, needed: Iterable[str]) -> RowMaker:
        """Return the maker for two runs; `needed` are the raw columns that the ranker reads.

        Raises:
            DataError: a table that the ranking recipe joins cannot be read.
            RunError: the ranker reads sources, but the retriever has none.

        """
        needed = list(needed)
        recipe, items = retriever.run.recipe, retriever.catalogue.attributes
        sides, user = tower_columns_of(recipe), retrieval_section_of(recipe).user
        query_columns = recipe.schema_.part(list(sides.query)).sources()
        both = recipe.schema_.part(list(sides.item)).sources()
        own = {*query_columns, *([user] if user is not None else [])} - set(both)
        data = ranking.recipe.data
        tables = tuple(_table(other, data.csv) for other in data.joins)
        counts = ranking.recipe.schema_.counts()
        retrieved = read_columns(needed, retriever)
        ages = HistoryAges.of(ranking.recipe.served_schema, data.times)
        others = [name for name in ages.without(needed) if name not in retrieved]
        wanted = _before_joins(before_counts(others, counts), tables)
        from_items = tuple(c for c in wanted if c in items.columns and c not in own)
        from_query = tuple(c for c in wanted if c not in from_items)
        history, length = filled_history(recipe, ranking.recipe.schema_, from_query)
        if history in ages.columns and not retriever.keeps_times:
            raise RunError(
                f"{retriever.run.folder}: keeps no times of its users' events, but column"
                f" '{history}' of the ranker reads them; set retrieval.time to the time column of"
                " its rows, and train it again"
            )
        times = dict.fromkeys([*row_times(ranking.recipe), *row_times(recipe)])
        timed = ranking.recipe.schema_.row_times()
        return RowMaker(
            items=items,
            query_columns=tuple(query_columns),
            user=user,
            from_items=from_items,
            from_query=from_query,
            tables=tables,
            history=history,
            history_length=length,
            ages=ages,
            counts=counts,
            events=event_history(ranking.recipe) if counts else None,
            retrieved=retrieved,
            segment=retrieval_section_of(recipe).segment,
            row_times=tuple(n for n in times if n in from_query and n in timed),
            other_times=tuple(n for n in times if n in from_query and n not in timed),
        )

    @cached_property
    def known(self) -> tuple[str, ...]:
        """The columns that a query always has; unknown ones are missing."""
        return tuple(
            dict.fromkeys([*self.query_columns, *([self.user] if self.user is not None else [])])
        )

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that every query must be given."""
        return tuple(name for name in self.from_query if name not in self._filled)

    @property
    def _filled(self) -> set[str]:
        """The columns that every query has without being given them."""
        history = () if self.history is None else (self.history,)
        return {*self.known, *history, *self.row_times}.difference(self.other_times)

    @property
    def times(self) -> tuple[str, ...]:
        """The columns with the time of an evaluated query that the ranker reads."""
        counted = () if self.events is None else (self.events.time,)
        return tuple(dict.fromkeys([*counted, *(t for t in self.row_times if t not in self.known)]))

    def check_given(self, given: Collection[str]) -> None:
        """Reject a query that has a column which it cannot have, or lacks one that it must have.

        Args:
            given: its columns.

        Raises:
            QueryError: names the column and the remedy.

        """
        allowed = dict.fromkeys([*self.query_columns, *self.from_query, *self.ages.times])
        for name in given:
            if name == self.user and name not in self.query_columns:
                raise QueryError(f"query: '{name}' is the user's id; give it as the user")
            if name not in allowed and name in self.items.columns:
                raise QueryError(
                    f"query: '{name}' is a column of the items, the same for every query; choose"
                    " items by it with a condition (where)"
                )
            if name not in allowed:
                names = list(allowed | ({} if self.segment is None else {self.segment: None}))
                raise QueryError(
                    f"query: no column '{name}'{did_you_mean(name, names)}; the query has:"
                    f" {', '.join(names) or 'none'}"
                )
        self.check_had([*self._filled, *given])

    def check_more(self, columns: Collection[str]) -> None:
        """Reject columns of the items as more columns of a query.

        Raises:
            QueryError: names the column; every candidate would get that of the relevant item.

        """
        for name in columns:
            if name in self.items.columns and name not in self.known:
                raise QueryError(
                    f"columns: '{name}' is a column of the items, so each candidate has its own"
                    " value; leave it out"
                )

    def check_had(self, columns: Collection[str], of_rows: Collection[str] | None = None) -> None:
        """Reject queries of some columns if the ranker needs one that they lack.

        Args:
            columns: of the queries.
            of_rows: what the rows have that queries are made of; None if there are no such rows.

        Raises:
            QueryError: names the column, and where it may come from.

        """
        for name in self.from_query:
            if name not in columns:
                raise QueryError(
                    f"the ranking run needs the column '{name}', which neither the query nor the"
                    " items have: join a table that holds it (data.joins of the ranking recipe),"
                    " put it into the item table of the retrieval recipe (retrieval.items), or"
                    f" {_advice(name, of_rows)}"
                )

    def is_of_query(self, name: str) -> bool:
        """Return whether the query decides a raw column, be it by the key of a joined table."""
        if (history := self.ages.owner(name)) is not None:
            return self.is_of_query(history)
        for table in reversed(self.tables):
            if name in table.table.columns and name != table.on:
                return self.is_of_query(table.on)
        return name in self.from_query

    def join_matches(self, users: pl.DataFrame) -> tuple[JoinMatch, ...]:
        """Return how many items and known users find their key in each joined table.

        A table whose key comes with each request is left out.

        Args:
            users: `[U]` query columns of the known users.

        Raises:
            DataError: no item, or no known user, finds its key.

        """
        items = [table for table in self.tables if not self.is_of_query(table.on)]
        queries = [table for table in self.tables if self.is_of_query(table.on)]
        return (
            *table_matches(self.items, items, "items"),
            *table_matches(users, queries, "users"),
        )

    def sides(self, schema: Schema) -> tuple[list[str], list[str], list[str]]:
        """Return the columns of a schema of the query, of the item, and of both together.

        Crosses are left out: an encoder makes them of their columns. Counts change between
        requests, so they are of both, whatever their keys are, and so are columns of retrieval.
        """
        own, theirs, pairs = list[str](), list[str](), list[str]()
        for name, column in schema.columns.items():
            if column.combines:
                continue
            if column.counts() or any(s in self.retrieved for s in column.sources(name)):
                pairs.append(name)
                continue
            of_query = [self.is_of_query(source) for source in column.sources(name)]
            (own if all(of_query) else pairs if any(of_query) else theirs).append(name)
        return own, theirs, pairs

    def source(
        self,
        queries: pl.DataFrame,
        query: Indices,
        item: Indices,
        retrieved: Iterable[pl.Series] = (),
    ) -> Source:
        """Return the rows that the ranker reads.

        Args:
            queries: `[Q]` raw columns, `from_query` among them.
            query: `[rows]` places of the queries.
            item: `[rows]` places of the items.
            retrieved: `[rows]` the columns of retrieval.

        """
        ages = [name for name in self.ages.columns.values() if name in queries.columns]
        parts = [
            _rows_of(queries, [*self.from_query, *self.times, *ages], query),
            _rows_of(self.items, self.from_items, item),
            pl.DataFrame(list(retrieved)),
        ]
        source: Source = FrameSource(pl.concat(parts, how="horizontal"), "the candidates")
        for table in self.tables:
            source = replace(table, base=source)
        return source if self.events is None else CountedSource(source, self.events)

    def whole(self, queries: pl.DataFrame, query: Indices, item: Indices) -> pl.DataFrame:
        """Return rows with every column of the query and of the item; the query's win."""
        attributes = self.items.select(c for c in self.items.columns if c not in queries.columns)
        return pl.concat([queries[query], attributes[item]], how="horizontal")


def _rows_of(frame: pl.DataFrame, names: Iterable[str], places: Indices) -> pl.DataFrame:
    """Return columns of some rows; a frame without columns has no rows to pick."""
    kept = list(dict.fromkeys(names))
    return frame.select(kept)[places] if kept else pl.DataFrame()


def filled_history(
    recipe: Recipe, ranking: Schema, from_query: Collection[str]
) -> tuple[str | None, int]:
    """Return the raw column of a ranker that the user's history fills, and its length.

    Args:
        recipe: of the retriever.
        ranking: schema of the ranker.
        from_query: raw columns that items do not have.

    Returns:
        None and 0 if the history fills no column.

    """
    name = retrieval_section_of(recipe).history.column
    if name is None:
        return None, 0
    raw = recipe.schema_.columns[name].sources(name)[0]
    sequences = {n: c for n, c in ranking.columns.items() if isinstance(c, Sequence)}
    lengths = [c.max_len for n, c in sequences.items() if c.sources(n)[0] == raw]
    return (raw, max(lengths)) if lengths and raw in from_query else (None, 0)


def _advice(name: str, of_rows: Collection[str] | None) -> str:
    """Say how a query gets a column: given with it, or taken from its row."""
    if of_rows is None:
        return f'give it with the query, as in {{"{name}": VALUE}}'
    option = f"--column {name} (columns=[{name!r}] in Python)"
    if name in of_rows:
        return f"take it from the query's row, if it is not the item's: {option}"
    return f"give rows to evaluate on that have it (data), with {option}"


def _table(other: Join, dialect: Csv) -> JoinedSource:
    """Return a table, read once and checked; it waits for rows to be joined to."""
    rows = FrameSource(pl.DataFrame(schema=[other.on]), "the rows")
    return join(rows, other.path, on=other.on, dialect=dialect)


def before_counts(needed: Iterable[str], counts: Iterable[EventCount]) -> list[str]:
    """Return columns with the keys of counts in place of the counts."""
    keys = {count.column: count.by for count in counts}
    return list(dict.fromkeys(key for name in needed for key in keys.get(name, (name,))))


def _before_joins(needed: Iterable[str], tables: tuple[JoinedSource, ...]) -> list[str]:
    """Return the columns and keys that rows need before the joins add the others."""
    wanted = list(needed)
    for table in reversed(tables):
        added = set(table.table.columns) - {table.on}
        wanted = [*(name for name in wanted if name not in added), table.on]
    return list(dict.fromkeys(wanted))
