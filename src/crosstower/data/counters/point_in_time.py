"""Counts of a whole log at the times of rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crosstower.data.counters.keys import NO_KEY
from crosstower.recipe.event_count import EventCount
from crosstower.values.hashing import U64

Times = NDArray[np.int64]


class PointInTimeCounts:
    """One count over a log of events, for rows at any time.

    It holds at most 24 bytes per event, and finds a row's events by binary search.

    >>> count = EventCount(("click",), ("item_id",), window=640)
    >>> counts = PointInTimeCounts(count, np.array([5, 5], np.uint64), np.array([1000, 1100]))
    >>> counts.at(np.array([5, 5, 6], np.uint64), np.array([1100, 1101, 1101])).tolist()
    [1, 2, 0]

    Args:
        count: the types of the events have been selected already.
        keys: `[E]` of the events; those without a key are ignored.
        times: `[E]` nanoseconds since 1970, in any order.

    """

    def __init__(self, count: EventCount, keys: U64, times: Times) -> None:
        self.count = count
        there = keys != NO_KEY
        if not there.all():
            keys, times = keys[there], times[there]
        self._keys, key_places = np.unique(keys, return_inverse=True)
        self._times, time_places = np.unique(times, return_inverse=True)
        # Places of key and time in one number, so that one sorted array answers both.
        self._places = key_places * len(self._times) + time_places
        self._places.sort()

    def at(self, keys: U64, times: Times) -> NDArray[np.int64]:
        """Return the number of events `[B]` that count for rows.

        Args:
            keys: `[B]`; 0 for a row that lacks a key.
            times: `[B]` of the rows, nanoseconds since 1970.

        """
        if not len(self._keys):
            return np.zeros(len(keys), np.int64)
        place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        first = place * len(self._times)
        start = np.searchsorted(self._times, self.count.start(times))
        end = np.searchsorted(self._times, self.count.end(times))
        found = np.searchsorted(self._places, first + end)
        found -= np.searchsorted(self._places, first + start)
        return np.where(self._keys[place] == keys, found, 0)

    def since(self, time: int) -> tuple[U64, Times]:
        """Return keys and times of the events from a time on, in nanoseconds since 1970."""
        places = self._places
        if not len(places):
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        times = places % len(self._times)
        kept = times >= np.searchsorted(self._times, time)
        return self._keys[places[kept] // len(self._times)], self._times[times[kept]]
