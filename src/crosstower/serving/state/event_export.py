"""Events as one Parquet file, for the next training run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from pyarrow import parquet

from crosstower.errors import QueryError, ServeError
from crosstower.serving.state.address import StateAddress
from crosstower.serving.state.database import Database
from crosstower.serving.state.event_columns import Kinds, id_column
from crosstower.serving.state.event_log import COLUMNS, Selection, last_event, microseconds, read
from crosstower.serving.state.state import State
from crosstower.storage.files import refuse_parquet_output, replacing

_IDS = ("user", "item_id")
_JSON = ("query", "attributes")
_NUMBERS: dict[str, pl.DataType] = {"rank": pl.Int64(), "value": pl.Float64()}


@dataclass(frozen=True)
class EventExport:
    """The result of an export.

    `counts` is the number of events by type. `only_json` names the keys, such as
    `query.device`, that got no column of their own; `more_keys` is true if there are keys beyond
    the first 4,096, which are not named.
    """

    counts: dict[str, int]
    only_json: tuple[str, ...]
    more_keys: bool = False

    @property
    def events(self) -> int:
        """Number of events in the file."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class _Layout:
    """The types of the id columns, and of the flat columns by (query or attributes, key)."""

    ids: dict[str, pl.DataType | None]
    flat: dict[tuple[str, str], pl.DataType]


def export_events(
    state: str | StateAddress,
    output: str | Path,
    *,
    after: datetime | None = None,
    until: datetime | None = None,
    types: Sequence[str] | None = None,
    force: bool = False,
) -> EventExport:
    """Write the events of a server's state to a Parquet file, whole or not at all.

    The server may keep writing; events after the start are left for the next export. The columns
    are those of `Event`: `user` and `item_id` are whole numbers where all of them are, else text;
    `query` and `attributes` are JSON. Each key of these has a column of its own too, such as
    `query.device`, where its values have one type: booleans, whole numbers of 64 bits, numbers,
    text, or lists of one of these; nulls do not count. A key of mixed types, of objects, of
    nothing but nulls, or of larger numbers is only in the JSON, and is named in the result, as
    are all but the 256 most frequent keys of `query` and of `attributes`. Memory does not grow with
    the events.

    Args:
        state: address of the server's state.
        output: the Parquet file.
        after: leave out events before this time, which has a zone.
        until: leave out events at or after this time, which has a zone.
        types: only these; all if None.
        force: replace `output`.

    Raises:
        ServeError: there is no state, it is damaged, or the output is there, not writable or of
            another format by its suffix.
        QueryError: a time has no zone, or `until` is not after `after`.

    """
    output = Path(output)
    refuse_parquet_output(output, force=force, error=ServeError)
    start, end = _time("after", after), _time("until", until)
    if start is not None and end is not None and start >= end:
        raise QueryError(f"until: expected a time after {after}, got {until}")
    with State.open_existing(state) as opened:
        chosen = None if types is None else tuple(types)
        selection = Selection(start, end, chosen, last_event(opened.database))
        return _export(opened.database, selection, output)


def _export(database: Database, selection: Selection, output: Path) -> EventExport:
    layout, found = _look(database, selection)
    schema = _table([], layout).schema
    try:
        with (
            replacing(output) as aside,
            parquet.ParquetWriter(aside, schema, compression="zstd") as writer,
        ):
            for rows in read(database, selection, COLUMNS):
                writer.write_table(_table(rows, layout))
    except OSError as error:
        raise ServeError(f"{output}: cannot be written: {error.strerror or error}") from error
    return found


def _look(database: Database, selection: Selection) -> tuple[_Layout, EventExport]:
    """Return the layout of the file and the counts of its content."""
    counts, ids = Counter[str](), Kinds()
    inside = {name: Kinds() for name in _JSON}
    for rows in read(database, selection, ("type", *_IDS, *_JSON)):
        for kind, user, item, *texts in rows:
            counts[kind] += 1
            ids.see({"user": _value(user), "item_id": _value(item)})
            for name, text in zip(_JSON, texts, strict=True):
                if text is not None:
                    inside[name].see(json.loads(text))
    found = {(n, k): kind for n, kinds in inside.items() for k, kind in kinds.types().items()}
    flat = {place: kind for place, kind in found.items() if kind is not None}
    left = tuple(f"{name}.{key}" for (name, key), kind in found.items() if kind is None)
    more = any(kinds.more_keys for kinds in inside.values())
    export = EventExport(dict(sorted(counts.items())), left, more)
    return _Layout(ids.types(), flat), export


def _table(rows: list[tuple[Any, ...]], layout: _Layout) -> Any:
    """Return an Arrow table with the columns and types of the layout."""
    cells = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    columns = dict[str, tuple[Any, ...]](zip(COLUMNS, cells, strict=True))
    fixed = [_column(name, values, layout) for name, values in columns.items()]
    return pl.DataFrame([*fixed, *_flat(columns, layout)]).to_arrow()


def _column(name: str, values: tuple[Any, ...], layout: _Layout) -> pl.Series:
    if name in _IDS:
        return id_column(name, map(_value, values), layout.ids.get(name))
    if name == "time":
        return pl.Series(name, values, pl.Int64).cast(pl.Datetime("us", "UTC"))
    return pl.Series(name, values, _NUMBERS.get(name, pl.String()))


def _flat(columns: dict[str, tuple[Any, ...]], layout: _Layout) -> Iterator[pl.Series]:
    """Yield the columns of single keys, in the order of the layout."""
    parsed = {name: [_value(text) or {} for text in columns[name]] for name in _JSON}
    for (name, key), kind in layout.flat.items():
        values = [properties.get(key) for properties in parsed[name]]
        yield pl.Series(f"{name}.{key}", values, kind)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _time(name: str, time: datetime | None) -> int | None:
    if time is None:
        return None
    if time.utcoffset() is None:
        raise QueryError(f"{name}: expected a time with a time zone, got {time.isoformat()}")
    return microseconds(time)
