"""Spending of campaigns per period, as rows of a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

TABLE = (
    "CREATE TABLE IF NOT EXISTS spending"
    " (campaign TEXT PRIMARY KEY, period INTEGER NOT NULL, cost REAL NOT NULL) WITHOUT ROWID"
)

Entry = tuple[str, int, float]  # campaign, number of the period, cost

_ADD = (
    "INSERT INTO spending VALUES (?, ?, ?) ON CONFLICT (campaign) DO UPDATE SET"
    " cost = CASE WHEN excluded.period > period THEN excluded.cost"
    " WHEN excluded.period = period THEN cost + excluded.cost ELSE cost END,"
    " period = max(period, excluded.period)"
)


def add(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Add costs; those of a period replace the total of an earlier one."""
    connection.executemany(_ADD, entries)


def totals(connection: sqlite3.Connection) -> list[Entry]:
    """Return the total of each campaign in its newest period."""
    return connection.execute("SELECT campaign, period, cost FROM spending").fetchall()
