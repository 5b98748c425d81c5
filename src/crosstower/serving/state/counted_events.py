"""Events of a state as counts of events read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from crosstower.serving.state.database import Connection

_SELECT = (
    "SELECT sequence, type, time, user, item_id, {properties} FROM events WHERE sequence > ?"
    " AND sequence <= ? AND time > ? AND type IN ({types}) ORDER BY sequence LIMIT ?"
)


class CountedEvent(NamedTuple):
    """The columns of an event that counts read; ids, query and attributes are JSON."""

    sequence: int
    type: str
    time: int
    user: str | None
    item_id: str | None
    query: str | None
    attributes: str | None


def read_to_count(
    connection: Connection,
    types: Sequence[str],
    *,
    after: int,
    last: int,
    since: int,
    limit: int,
    properties: bool = True,
) -> list[CountedEvent]:
    """Return events of some types in the order of their numbers.

    Args:
        connection: that reads.
        types: only these.
        after: leave out events up to this number.
        last: leave out events after this number.
        since: leave out events up to this time, in microseconds since 1970.
        limit: largest number of events.
        properties: read the query and the attributes too; they are None if not.

    """
    columns = "query, attributes" if properties else "NULL, NULL"
    statement = _SELECT.format(types=", ".join("?" * len(types)), properties=columns)
    rows = connection.execute(statement, (after, last, since, *types, limit)).fetchall()
    return [CountedEvent(*row) for row in rows]
