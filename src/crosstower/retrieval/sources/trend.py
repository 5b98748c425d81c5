"""Numbers of rows and events per item in a window that moves with the newest of them."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.counters.keys import hashes_of
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.recipe.event_count import EventCount
from crosstower.values.arrays import Indices
from crosstower.values.hashing import U64
from crosstower.values.instants import SECOND

Times = NDArray[np.int64]
Arrays = Mapping[str, NDArray[Any]]

_PREFIX = "trend_"  # of the arrays that a run stores
_MOST_LATER = 10_000  # times of events of the future


class Trend:
    """Counts the rows and events of a window per item; not for several threads.

    The window ends with the newest row or event, so that without events the counts are those of
    the training rows, at any time. As with counters, its old edge is that of one of 64
    buckets: it covers up to 1/64 more than its length. Memory is that of `WindowCounts`.

    >>> films, times = pl.Series(["f1", "f2", "f1"]), np.array([5, 20, 70]) * SECOND
    >>> trend = Trend(60.0, Trend.fit(60.0, films, times))
    >>> trend.counts(pl.Series(["f1", "f2"])).tolist()
    [1, 1]
    >>> trend.add(pl.Series(["f3", "f1"]), np.array([100, 999]) * SECOND, now=120 * SECOND)
    >>> trend.counts(pl.Series(["f1", "f2", "f3"])).tolist()
    [1, 0, 1]

    Args:
        window: length in seconds.
        arrays: as returned by `fit`.

    """

    def __init__(self, window: float, arrays: Arrays) -> None:
        self._count, self._arrays = window_of(window), arrays
        self.version = 0
        self.reset()

    @staticmethod
    def fit(window: float, ids: pl.Series, times: Times) -> dict[str, NDArray[Any]]:
        """Return the counts of training rows as arrays.

        Args:
            window: length in seconds.
            ids: canonical, the item of each row `[R]`.
            times: `[R]` nanoseconds since 1970.

        """
        counts, end = WindowCounts(window_of(window)), int(times.max()) + 1
        counts.advance(end)
        counts.add(hashes_of(ids), times)
        return {f"{_PREFIX}{name}": array for name, array in counts.arrays().items()}

    @staticmethod
    def has(arrays: Arrays) -> bool:
        """Return whether arrays of a run hold a trend."""
        return f"{_PREFIX}time" in arrays

    @property
    def until(self) -> int:
        """Time behind the last training row, in nanoseconds since 1970."""
        return int(self._arrays[f"{_PREFIX}time"][0])

    @property
    def start(self) -> int:
        """Time before which events do not count, in nanoseconds since 1970."""
        return max(self.until, self._count.start(self._end))

    def reset(self) -> None:
        """Forget the events."""
        names = [name for name in self._arrays if name.startswith(_PREFIX)]
        arrays = {n.removeprefix(_PREFIX): np.asarray(self._arrays[n]) for n in names}
        self._counts = WindowCounts.of_arrays(self._count, arrays)
        self._end, self._later = self.until, list[int]()
        self.version += 1

    def fresh(self) -> Trend:
        """Return the trend of only the training rows, to count the events again."""
        other = copy(self)
        other.reset()
        return other

    def take(self, other: Trend) -> None:
        """Take the counts of another trend of the same rows."""
        self._counts, self._end, self._later = other._counts, other._end, other._later
        self.version += 1

    def add(self, ids: pl.Series, times: Times, *, now: int) -> None:
        """Count events, in any order; those of the future wait until their time.

        Args:
            ids: canonical ids of items, `[E]`; unknown ones count once they are items.
            times: `[E]` nanoseconds since 1970; those of training rows are ignored.
            now: nanoseconds since 1970.

        """
        kept = times >= self.until
        self._counts.add(hashes_of(ids.filter(pl.Series(kept))), times[kept])
        for time in np.unique(times[kept]).tolist():
            bisect.insort(self._later, time)
        del self._later[_MOST_LATER:]
        self.version += 1
        self.advance(now)

    def advance(self, now: int) -> None:
        """Move the end of the window to the newest event up to a time.

        Args:
            now: nanoseconds since 1970.

        """
        place = bisect.bisect_right(self._later, now)
        if not place:
            return
        self._end = max(self._end, self._later[place - 1] + 1)
        self._counts.advance(self._end)
        del self._later[:place]
        self.version += 1

    def counts(self, ids: pl.Series) -> Indices:
        """Return the number of rows and events `[n]` of items in the window.

        Args:
            ids: canonical, `[n]`.

        """
        return self.counts_of(hashes_of(ids))

    def counts_of(self, keys: U64) -> Indices:
        """Return the result of `counts` for the hashes `[n]` of ids."""
        return self._counts.at(keys, self._end)


def window_of(window: float) -> EventCount:
    """Return the window of some seconds.

    >>> window_of(64.0).start(100 * SECOND) == 36 * SECOND
    True
    """
    return EventCount((), (), round(window * SECOND))
