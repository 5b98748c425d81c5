"""Keys of stored events: the values by which a bundle counts them, as hashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.counters.keys import NO_KEY, hash_of, hashes_of
from crosstower.errors import DataError
from crosstower.serving.state.counted_events import CountedEvent
from crosstower.values.hashing import U64
from crosstower.values.ids import id_series

USER, ITEM = "user", "item_id"
"""Columns of an event that are ids."""

_FROM = ("query.", "attributes.")  # the query comes first

LookUp = Callable[[pl.Series], tuple[NDArray[np.bool_], Mapping[str, U64]]]
"""Returns which ids `[n]` are items, and their hashes `[n]` by column; `NO_KEY` for other ids."""


def no_items(ids: pl.Series) -> tuple[NDArray[np.bool_], Mapping[str, U64]]:
    """Return that no id is an item."""
    return np.zeros(len(ids), dtype=bool), {}


class TableKeys:
    """Looks up columns of a joined table by the hash of its key.

    `on` is the key, `columns` are those that the table adds.

    Args:
        table: with one row per key.
        on: column of the key.

    """

    def __init__(self, table: pl.DataFrame, on: str) -> None:
        hashes = hashes_of(table[on])
        order = np.argsort(hashes)
        self.on, self.columns = on, tuple(name for name in table.columns if name != on)
        self._table, self._hashes, self._order = table, hashes[order], order
        self._found = dict[str, U64]()

    def of(self, keys: U64, name: str) -> U64:
        """Return the hashes `[n]` of a column for hashes `[n]` of keys."""
        if name not in self._found:
            self._found[name] = hashes_of(self._table[name])[self._order]
        place = np.searchsorted(self._hashes, keys).clip(max=max(len(self._hashes) - 1, 0))
        if not len(self._hashes):
            return np.zeros(len(keys), dtype=np.uint64)
        known = (self._hashes[place] == keys) & (keys != NO_KEY)
        return np.where(known, self._found[name][place], np.uint64(NO_KEY))


@dataclass(frozen=True)
class Parts:
    """Hashes `[n]` of events by key column, `NO_KEY` where an event lacks the value.

    `own` are only those of the event, `whole` also has those of its item. `orphaned` `[n]` marks
    the events that name an item that does not exist, `of_items` are the columns that items have.
    """

    own: Mapping[str, U64]
    whole: Mapping[str, U64]
    orphaned: NDArray[np.bool_]
    of_items: frozenset[str]


class EventKeys:
    """Finds the values of events by which they are counted, as training finds those of a log.

    A column is the event's user or item, or what the training log renames, or that of a joined
    table; any other is taken from the event's query, else from its attributes, else from its item.
    `reads_properties`: whether the query or the attributes are read.

    Args:
        columns: by which events are counted.
        user: columns that are the id of the user.
        item: columns that are the id of the item.
        renamed: names of exported columns, such as query.device, by column.
        tables: joined tables, each after those that add its key.
        joined: columns that tables add to the items of `of_items`.
        of_items: looks up columns of items.

    """

    def __init__(
        self,
        columns: Sequence[str],
        *,
        user: Collection[str],
        item: Collection[str],
        renamed: Mapping[str, str] | None = None,
        tables: Sequence[TableKeys] = (),
        joined: Collection[str] = (),
        of_items: LookUp = no_items,
    ) -> None:
        self._of_items = of_items
        self._ids = dict.fromkeys(user, USER) | dict.fromkeys(item, ITEM)
        self._tables, needed = list[TableKeys](), dict.fromkeys(columns)
        for table in reversed(tables):
            if not needed.keys().isdisjoint(table.columns):
                self._tables.insert(0, table)
                needed[table.on] = None
        added = {name for table in tables for name in table.columns} | set(joined)
        self._needed, self._renamed = tuple(needed), renamed or {}
        self._properties = {
            name: (
                [self._renamed[name]] if name in self._renamed else [f"{p}{name}" for p in _FROM]
            )
            for name in needed
            if name not in self._ids and (name in self._renamed or name not in added)
        }
        self.reads_properties = bool(self._properties)

    def of(self, events: Sequence[CountedEvent]) -> Parts:
        """Return the hashes of events."""
        users, items = ids_of([e.user for e in events]), ids_of([e.item_id for e in events])
        hashed = {USER: hashes_of(users), ITEM: hashes_of(items)}
        own = {name: np.zeros(len(events), dtype=np.uint64) for name in self._needed}
        own |= {name: hashed[self._ids[name]] for name in self._needed if name in self._ids}
        self._read_properties(events, own)
        for table in self._tables:
            names = [n for n in table.columns if n in own and n not in self._renamed]
            own |= {name: table.of(own[table.on], name) for name in names}
        known, theirs = self._of_items(items)
        whole = {
            name: np.where(hashes == NO_KEY, theirs[name], hashes)
            if name in theirs and name not in self._renamed
            else hashes
            for name, hashes in own.items()
        }
        return Parts(own, whole, ~known & (hashed[ITEM] != NO_KEY), frozenset(theirs))

    def _read_properties(self, events: Sequence[CountedEvent], into: Mapping[str, U64]) -> None:
        """Write the hashes of columns that the query or the attributes of events have."""
        if not self._properties:
            return
        for place, event in enumerate(events):
            given = {
                f"{prefix}{name}": value
                for prefix, text in zip(_FROM, (event.query, event.attributes), strict=True)
                for name, value in (json.loads(text) if text is not None else {}).items()
            }
            for name, places in self._properties.items():
                parts = (_part(given.get(one)) for one in places)
                into[name][place] = next((part for part in parts if part != NO_KEY), NO_KEY)


def ids_of(texts: Sequence[str | None]) -> pl.Series:
    """Return canonical ids of their JSON.

    >>> ids_of(['"f1"', "7", None]).to_list()
    ['f1', '7', None]
    """
    if any(text is not None and "\\" in text for text in texts):
        return id_series([None if text is None else json.loads(text) for text in texts])
    return pl.Series(texts, dtype=pl.String).str.strip_chars('"')


def _part(value: Any) -> int:
    """Return the hash of a value, `NO_KEY` if it is missing or cannot be a key."""
    try:
        return hash_of(value)
    except DataError:
        return NO_KEY
