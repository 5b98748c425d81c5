"""One count of earlier events, and the time window that it covers: the only definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crosstower.recipe.own_columns import MARK

BUCKETS = 64
"""Buckets per window: its old edge is that of a bucket, so that a server keeps few numbers."""

Times = TypeVar("Times", int, NDArray[np.int64])


@dataclass(frozen=True)
class EventCount:
    """The number of earlier events of some types with the key of a row.

    An event counts at time t if its time is before t − delay, and not before the bucket that holds
    t − window. The new edge is exact; buckets are 1/64 of the window wide and start at multiples
    of their width since 1970, so a window covers up to 1/64 more than its length. Equal counts of
    several columns are computed once.

    >>> count = EventCount(("click",), ("item_id",), window=6_400)
    >>> count.width, count.start(10_050), count.end(10_050)
    (100, 3600, 10050)

    Args:
        events: types of events.
        by: data columns whose values are the key.
        window: length in nanoseconds.
        delay: nanoseconds after which an event counts, less than the window.

    """

    events: tuple[str, ...]
    by: tuple[str, ...]
    window: int
    delay: int = 0

    @property
    def column(self) -> str:
        """The internal data column that holds the count."""
        delay = f", delay {self.delay} ns" if self.delay else ""
        names = f"{', '.join(map(repr, self.events))} by {', '.join(map(repr, self.by))}"
        return f"{MARK}events {names}, window {self.window} ns{delay}"

    @property
    def width(self) -> int:
        """Nanoseconds per bucket."""
        return max(self.window // BUCKETS, 1)

    def bucket(self, time: Times) -> Times:
        """Return the bucket of a time, in nanoseconds since 1970."""
        return time // self.width

    def oldest(self, time: Times) -> Times:
        """Return the oldest bucket whose events count at a time."""
        return self.bucket(time - self.window)

    def start(self, time: Times) -> Times:
        """Return the first time whose events count at a time."""
        return self.oldest(time) * self.width

    def end(self, time: Times) -> Times:
        """Return the time before which events count at a time."""
        return time - self.delay
