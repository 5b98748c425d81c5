"""Spending of campaigns per period, as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from crosstower.serving.state.database import Connection

TABLE = (
    "CREATE TABLE IF NOT EXISTS spending"
    " (campaign TEXT PRIMARY KEY, period INTEGER NOT NULL, cost REAL NOT NULL)"
)

Entry = tuple[str, int, float]  # campaign, number of the period, cost

_ADD = (
    "INSERT INTO spending VALUES (?, ?, ?) ON CONFLICT (campaign) DO UPDATE SET"
    " cost = CASE WHEN excluded.period > spending.period THEN excluded.cost"
    " WHEN excluded.period = spending.period THEN spending.cost + excluded.cost"
    " ELSE spending.cost END,"
    " period = CASE WHEN excluded.period > spending.period THEN excluded.period"
    " ELSE spending.period END"
)


def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add costs; those of a period replace the total of an earlier one."""
    connection.executemany(_ADD, entries)


def totals(connection: Connection) -> list[Entry]:
    """Return the total of each campaign in its newest period."""
    return connection.execute("SELECT campaign, period, cost FROM spending").fetchall()
