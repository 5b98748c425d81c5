"""Times of a history that a request gives, as ages in seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from crosstower.data.counters.list_ages import AHEAD
from crosstower.errors import QueryError


def now_in_seconds() -> int:
    """Return the time, in whole seconds since 1970."""
    return int(time.time())


def ages_of(
    times: Sequence[datetime | str] | None, history: Sequence[object] | None, now: int
) -> tuple[int, ...] | None:
    """Return the ages of the items of a given history; None without times.

    >>> ages_of(["2026-01-31T10:00:00Z", "2026-01-31T10:05:00Z"], ["a", "b"], 1769854200)
    (600, 300)

    Args:
        times: of the items, oldest first: datetimes, or ISO 8601 texts; UTC without a zone.
        history: the items.
        now: the time of the request, in seconds since 1970.

    Raises:
        QueryError: their number or order is wrong, or one is not a time, or after the request.

    """
    if times is None:
        return None
    if history is None or len(times) != len(history):
        count = "none" if history is None else f"{len(history):,} items"
        raise QueryError(
            f"history_times: expected one time per item of history, got {len(times):,} times and"
            f" {count}"
        )
    seconds = [_seconds(one) for one in times]
    if seconds != sorted(seconds):
        raise QueryError("history_times: expected the oldest first; sort items and times by time")
    if seconds and seconds[-1] > now + AHEAD:
        raise QueryError(
            f"history_times: {times[-1]} is after the time of the request; leave out events of the"
            " future"
        )
    return tuple(max(now - one, 0) for one in seconds)


def _seconds(given: datetime | str) -> int:
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
        zone = UTC if moment.tzinfo is None else moment.tzinfo
        return int(moment.replace(tzinfo=zone).timestamp() // 1)  # NaN if there is no time
    except (AttributeError, TypeError, ValueError):
        raise QueryError(
            "history_times: expected datetimes, or texts such as 2026-01-31T18:30:00Z, got"
            f" {given!r:.60}"
        ) from None
