"""Changes of items in order of arrival, as rows of a table.

The JSON of a whole item is an object, that of its vector the list `[weights, float32 in base64]`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstower.errors import DataError, ServeError
from crosstower.serving.state.database import Connection
from crosstower.serving.state.json_text import json_text
from crosstower.values.ids import id_of

_TABLE = (
    "CREATE TABLE IF NOT EXISTS item_changes"
    " (sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, item TEXT)"
)
TABLES = (
    _TABLE,
    "CREATE INDEX IF NOT EXISTS item_changes_by_id ON item_changes (id, sequence)",
)
Entry = tuple[str, str | None]


_DROP = """
DELETE FROM item_changes WHERE sequence IN (
  WITH vectors AS (
    SELECT sequence, id, json_extract(item, '$[0]') AS weights FROM item_changes
    WHERE substr(item, 1, 1) = '['
  ), newest AS (
    SELECT weights FROM vectors GROUP BY weights ORDER BY max(sequence) DESC LIMIT 3
  ), items AS (
    SELECT id, max(sequence) AS sequence FROM item_changes
    WHERE item IS NULL OR substr(item, 1, 1) != '[' GROUP BY id
  ), kept AS (
    SELECT sequence FROM items UNION ALL
    SELECT max(vectors.sequence) FROM vectors LEFT JOIN items USING (id)
    WHERE vectors.weights IN (SELECT weights FROM newest)
    AND vectors.sequence > coalesce(items.sequence, 0)
    GROUP BY vectors.id, vectors.weights
  )
  SELECT sequence FROM item_changes EXCEPT SELECT sequence FROM kept
)
"""
LARGEST = 1e15
"""Largest absolute number of a vector: float32 holds products with it and its length."""


@dataclass(frozen=True, slots=True)
class ItemVector:
    """A vector of an item: little-endian float32, and the SHA-256 of the weights it belongs to."""

    weights: str
    values: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one item: a new `vector`, or else its `row`, which is None if it was deleted."""

    sequence: int
    id: int | str
    row: dict[str, Any] | None
    vector: ItemVector | None = None


def put_entries(rows: Sequence[dict[str, Any]], item: str) -> list[Entry]:
    """Return (id, row) as JSON of each item.

    Raises:
        DataError: a row has no id, or a value without a JSON form.

    """
    return [_entry(place, row, item) for place, row in enumerate(rows, start=1)]


def removal_entries(ids: Sequence[int | str]) -> list[Entry]:
    """Return (id as JSON, None) of each item.

    Raises:
        DataError: an id is neither a whole number nor text.

    """
    return [(_id_text(given, f"ids: number {n}"), None) for n, given in enumerate(ids, start=1)]


def vector_entries(vectors: Mapping[int | str, bytes], weights: str) -> list[Entry]:
    """Return (id, vector) as JSON of each item.

    Args:
        vectors: little-endian float32 by canonical id.
        weights: SHA-256 of the weights that they belong to.

    """
    return [
        (json_text(item), json_text([weights, base64.b64encode(values).decode()]))
        for item, values in vectors.items()
    ]


def append(connection: Connection, entries: Sequence[Entry]) -> None:
    """Append entries."""
    connection.executemany("INSERT INTO item_changes (id, item) VALUES (?, ?)", entries)


def last_sequence(connection: Connection) -> int:
    """Return the number of the newest change, 0 without changes."""
    return connection.execute("SELECT coalesce(max(sequence), 0) FROM item_changes").fetchone()[0]


def read_after(connection: Connection, sequence: int, limit: int) -> list[Change]:
    """Return the next changes, oldest first, at most `limit`.

    Raises:
        ServeError: a row was not written by `append`; names it.

    """
    rows = connection.execute(
        "SELECT sequence, id, item FROM item_changes WHERE sequence > ? ORDER BY sequence LIMIT ?",
        (sequence, limit),
    )
    return [_change(*row) for row in rows.fetchall()]


def drop_older(connection: Connection) -> int:
    """Keep only the last row or removal of each id, and later vectors; return the number dropped.

    Of vectors, the last one of each of the three models is kept whose vectors came last. Removals
    stay: the item may be in the bundle that the server starts from.
    """
    return connection.execute(_DROP).rowcount


def _change(number: Any, given: Any, item: Any) -> Change:
    try:
        identity, row = json.loads(given), None if item is None else json.loads(item)
    except (TypeError, ValueError, RecursionError) as error:
        raise _damaged(number, str(error)) from None
    if isinstance(identity, bool) or not isinstance(identity, int | str):
        raise _damaged(number, f"its id is {identity!r}")
    if isinstance(row, list):
        return Change(number, identity, None, _vector(number, row))
    if row is not None and not isinstance(row, dict):
        raise _damaged(number, "its item is not an object")
    return Change(number, identity, row)


def _vector(number: Any, parts: list[Any]) -> ItemVector:
    try:
        weights, text = parts
        values = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise _damaged(number, "its item is neither an object nor a vector") from None
    if not isinstance(weights, str) or not values or len(values) % 4:
        raise _damaged(number, "its vector is not a list of float32")
    return ItemVector(weights, values)


def _damaged(number: Any, what: str) -> ServeError:
    return ServeError(
        f"the state's change {number} of an item is damaged: {what}; restore a copy of the state"
        " folder, or start with another --state"
    )


def _entry(place: int, row: dict[str, Any], item: str) -> Entry:
    where = f"items: row {place}"
    if item not in row:
        raise DataError(f"{where}: has no '{item}'; give every item its id")
    identity = _id_text(row[item], f"{where}: '{item}'")
    try:
        return identity, json_text(row)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _id_text(given: Any, where: str) -> str:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise DataError(f"{where}: expected a whole number or text, got {given!r}")
    try:
        return json_text(id_of(given) if isinstance(given, float) else given)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
