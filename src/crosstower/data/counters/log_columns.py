"""Find each key column of an event log: under its name, another name, or in a joined table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from crosstower.data.sources.joins import join
from crosstower.data.sources.source import Chunk, Source, open_source, require_columns
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.recipe.data import Data, Join
from crosstower.recipe.events import EventLog
from crosstower.recipe.own_columns import MARK

TYPE, TIME, EVENT_ID = f"{MARK}type", f"{MARK}time", f"{MARK}event_id"
"""Names of the columns of an open log, in addition to those of keys."""

_EVENT_ID = "event_id"
_PROPERTIES = ("query", "attributes")


@dataclass(frozen=True)
class _RenamedSource:
    """Some columns of a source under other names: `names` has theirs by the new name."""

    base: Source
    names: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.base.name

    def columns(self) -> list[str]:
        """Return the new names."""
        return list(self.names)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows under the new names."""
        read = {name: self.names[name] for name in columns}
        for chunk in self.base.chunks(list(dict.fromkeys(read.values()))):
            series = [chunk.frame[column].alias(name) for name, column in read.items()]
            yield replace(chunk, frame=pl.DataFrame(series))


def open_path(path: str, dialect: Csv) -> Source:
    """Return the rows of a log's path.

    Raises:
        DataError: they cannot be read.

    """
    try:
        return open_source(path, dialect)
    except DataError as error:
        raise DataError(f"data.events: {error}") from None


def open_log(base: Source, log: EventLog, data: Data, keys: Sequence[str]) -> Source:
    """Return the events of a log with the columns `TYPE`, `TIME`, `EVENT_ID` (if any), and keys.

    A column that a table of `data.joins` adds to the rows is added to the events by the same
    table, if the log has its key. Any other column is the one that the log's `columns` name, or
    the one of its name, or the `query.NAME` or `attributes.NAME` of a server's export.

    Args:
        base: the rows of the log.
        log: says how its columns are called.
        data: section of the recipe, for joined tables and the dialect of CSV files.
        keys: names of the key columns.

    Raises:
        DataError: a column is missing or ambiguous, or a table cannot be read.

    """
    require_columns(base, [log.type, log.time, *log.columns.values()])
    allowed = [*keys, *(table.on for table in data.joins)]
    for name in log.columns:
        if name not in allowed:
            raise DataError(
                f"data.events.columns: '{name}' is read by no counter or history, and is not a key"
                f" of a joined table; allowed: {', '.join(dict.fromkeys(allowed))}"
            )
    tables = _tables(base, log, data, keys)
    added = {name for _, columns in tables for name in columns}
    own = [key for key in keys if key not in added]
    own += [table.on for table, _ in tables if table.on not in added]
    names = {TYPE: log.type, TIME: log.time}
    names |= {EVENT_ID: _EVENT_ID} if _EVENT_ID in base.columns() else {}
    source: Source = _RenamedSource(base, names | {name: _place(base, log, name) for name in own})
    for table, columns in tables:
        chosen = [column for column in columns if column in keys or _joins_by(tables, column)]
        source = join(source, _part(table, data.csv, chosen), on=table.on)
    return source


Tables = list[tuple[Join, list[str]]]


def _tables(base: Source, log: EventLog, data: Data, keys: Sequence[str]) -> Tables:
    """Return the joined tables whose key the log has, directly or by an earlier one, if needed."""
    tables: Tables = []
    for table in data.joins:
        earlier = {column for _, columns in tables for column in columns}
        if table.on in earlier or _found(base, log, table.on):
            columns = open_source(table.path, data.csv).columns()
            tables.append((table, [c for c in columns if c != table.on and c not in log.columns]))
    return [
        (table, columns)
        for table, columns in tables
        if any(column in keys or _joins_by(tables, column) for column in columns)
    ]


def _joins_by(tables: Tables, column: str) -> bool:
    return any(table.on == column for table, _ in tables)


def _part(table: Join, dialect: Csv, columns: Sequence[str]) -> pl.DataFrame:
    source = open_source(table.path, dialect)
    chunks = source.chunks([table.on, *columns])
    return pl.concat([chunk.frame for chunk in chunks], how="vertical_relaxed")


def _found(base: Source, log: EventLog, name: str) -> list[str]:
    """Return the columns of a log that may be meant by a name of the recipe."""
    if name in log.columns:
        return [log.columns[name]]
    present = _possible(base, log)
    if name in present:
        return [name]
    return [column for p in _PROPERTIES if (column := f"{p}.{name}") in present]


def _possible(base: Source, log: EventLog) -> list[str]:
    """Return the columns that may be keys: a key `type` is not the type of events by its name."""
    return [column for column in base.columns() if column not in (log.type, log.time)]


def _place(base: Source, log: EventLog, name: str) -> str:
    found = _found(base, log, name)
    if len(found) == 1:
        return found[0]
    say = f"name it in the log's options, as in columns: {{{name}: COLUMN}}"
    if found:
        raise DataError(
            f"data.events: {base.name}: '{name}' may be {' or '.join(map(repr, found))}; {say}"
        )
    raise DataError(
        f"data.events: {base.name}: no column '{name}', which a counter or a history reads; {say},"
        f" or join a table that adds '{name}' to rows and events (data.joins); the columns are:"
        f" {', '.join(_possible(base, log)[:20])}"
    )
