"""Counts kept while events arrive, for one instant after the other, as a server needs them."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.data.counters.keys import NO_KEY
from crosstower.data.counters.point_in_time import Times
from crosstower.recipe.event_count import BUCKETS, EventCount
from crosstower.values.hashing import U64

MAX_KEYS = 1_000_000
MAX_WAITING = 1_000_000
_FEW = 200
_NEVER = np.iinfo(np.int64).max
_EVER = -(2**62)
_START = 1_024
_MOST = 2 * (BUCKETS + 2)  # numbers per row


class WindowCounts:
    """One count of the events so far, equal to `PointInTimeCounts` at the same instants.

    Each key has the number of events per bucket, at most 65 buckets. Events that do not count yet,
    because of a delay or a time in the future, wait with their exact times. Memory is bounded:
    beyond `max_keys` the key whose last event arrived first is dropped, beyond a million waiting
    events the latest one. A key takes about 250 bytes, and 16 per bucket. Not for several threads.

    >>> counts = WindowCounts(EventCount(("click",), ("item_id",), window=640))
    >>> counts.add(np.array([5, 5], np.uint64), np.array([1000, 1100]))
    >>> [counts.at(np.array([5], np.uint64), time).tolist() for time in (1100, 1101, 1650)]
    [[1], [2], [1]]

    Args:
        count: the types of the events are selected by the caller.
        max_keys: maximum number of keys.

    """

    def __init__(self, count: EventCount, max_keys: int = MAX_KEYS) -> None:
        self.count, self.max_keys = count, max_keys
        self.dropped_keys = self.dropped_waiting = 0
        self._rows = dict[int, int]()  # the key whose last event arrived first comes first
        self._free = list[int]()
        # By row: bucket, events, bucket, events, ... Row 0 has no events and is that of other keys.
        self._buckets = [array("q")]
        self._total, self._oldest = np.zeros(_START, np.int64), np.full(_START, _NEVER)
        self._waiting = list[tuple[int, int]]()
        self._time = _EVER

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """Number of events that do not count yet."""
        return len(self._waiting)

    @property
    def nbytes(self) -> int:
        """Memory in bytes, estimated from a thousand keys."""
        step = max(len(self._buckets) // 1_000, 1)
        buckets = step * sum(len(row) for row in self._buckets[::step])
        return 230 * len(self._rows) + 8 * buckets + 16 * len(self._total) + 120 * self.waiting

    def add(self, keys: U64 | Sequence[int], times: Times | Sequence[int]) -> None:
        """Count events, in any order.

        Events after the last instant wait for the next one. To add many events of the past, first
        `advance` to the present.

        Args:
            keys: `[E]`; 0, no key, is ignored.
            times: `[E]` nanoseconds since 1970; events too old for the window are ignored.

        """
        end = self.count.end(self._time)
        if len(keys) <= _FEW:
            self._add_few(_plain(keys), _plain(times), end)
            return
        keys, times = np.asarray(keys, np.uint64), np.asarray(times, np.int64)
        waits = (times >= end) & (keys != NO_KEY)
        if waits.any():
            for time, key in zip(times[waits].tolist(), keys[waits].tolist(), strict=True):
                heapq.heappush(self._waiting, (time, key))
            self._bound_waiting()
            keys, times = keys[~waits], times[~waits]
        self._take(keys, times)

    def advance(self, time: int) -> None:
        """Let the events count that happened before an instant, less the delay.

        Args:
            time: nanoseconds since 1970; an instant before the last one changes nothing.

        """
        self._time = max(self._time, time)
        end, oldest = self.count.end(self._time), self.count.oldest(self._time)
        while self._waiting and self._waiting[0][0] < end:
            time, key = heapq.heappop(self._waiting)
            if (bucket := self.count.bucket(time)) >= oldest:
                self._put(key, bucket, 1)

    def at(self, keys: U64, time: int) -> NDArray[np.int64]:
        """Return the number of events `[B]` that count for keys at an instant.

        Args:
            keys: `[B]`; 0 for a missing key.
            time: nanoseconds since 1970. An instant before the last one is answered as of the last.

        """
        self.advance(time)
        find = self._rows.get
        rows = np.array([find(key, 0) for key in keys.tolist()], np.int64)
        oldest = self.count.oldest(self._time)
        stale = self._oldest[rows] < oldest
        if stale.any():
            for row in set(rows[stale].tolist()):
                self._forget(row, oldest)
        return self._total[rows]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the whole state, which `of_arrays` restores."""
        chosen = [self._buckets[row] for row in self._rows.values()]
        flat = np.array([x for row in chosen for x in row], np.int64)
        waiting = np.array(self._waiting, np.uint64).reshape(-1, 2)
        return {
            "keys": np.fromiter(self._rows, np.uint64, len(self._rows)),
            "lengths": np.array([len(row) // 2 for row in chosen], np.int64),
            "buckets": flat[::2],
            "events": flat[1::2],
            "waiting_keys": waiting[:, 1],
            "waiting_times": waiting[:, 0].astype(np.int64),
            "time": np.array([self._time]),
        }

    @staticmethod
    def of_arrays(
        count: EventCount, arrays: Mapping[str, NDArray[Any]], max_keys: int = MAX_KEYS
    ) -> WindowCounts:
        """Return the counts whose `arrays` were kept."""
        counts = WindowCounts(count, max_keys)
        counts._time = int(arrays["time"][0])
        flat = np.stack([arrays["buckets"], arrays["events"]], axis=1).astype(np.int64)
        ends = np.cumsum(arrays["lengths"]).tolist()
        for key, start, end in zip(arrays["keys"].tolist(), [0, *ends], ends, strict=False):
            row = counts._rows[key] = counts._new_row()
            counts._buckets[row].frombytes(flat[start:end].tobytes())
            counts._total[row] = flat[start:end, 1].sum()
            counts._oldest[row] = flat[start, 0] if end > start else _NEVER
        counts.add(arrays["waiting_keys"], arrays["waiting_times"])
        return counts

    def _add_few(self, keys: Sequence[int], times: Sequence[int], end: int) -> None:
        """Count events one by one, which is faster than arrays for a few events."""
        oldest = self.count.oldest(self._time)
        for key, time in zip(keys, times, strict=True):
            if key == NO_KEY:
                continue
            if time >= end:
                heapq.heappush(self._waiting, (time, key))
            elif (bucket := self.count.bucket(time)) >= oldest:
                self._put(key, bucket, 1)
        self._bound_waiting()

    def _bound_waiting(self) -> None:
        if len(self._waiting) > MAX_WAITING + MAX_WAITING // 10:
            self._waiting.sort()  # a sorted list is a heap
            self.dropped_waiting += len(self._waiting) - MAX_WAITING
            del self._waiting[MAX_WAITING:]

    def _take(self, keys: U64, times: Times) -> None:
        """Count many events, those of equal key and bucket together."""
        buckets = self.count.bucket(times)
        kept = (keys != NO_KEY) & (buckets >= self.count.oldest(self._time))
        keys, buckets = keys[kept], buckets[kept]
        order = np.lexsort((keys, buckets))
        keys, buckets = keys[order], buckets[order]
        new = (keys[1:] != keys[:-1]) | (buckets[1:] != buckets[:-1])
        places = np.append(0, np.flatnonzero(new) + 1) if len(keys) else np.empty(0, np.int64)
        numbers = np.diff(places, append=len(keys))
        keys, buckets = keys[places], buckets[places]
        for key, bucket, number in zip(
            keys.tolist(), buckets.tolist(), numbers.tolist(), strict=True
        ):
            self._put(key, bucket, number)

    def _put(self, key: int, bucket: int, number: int) -> None:
        """Count events of a key and a bucket."""
        row = self._rows.pop(key, 0) or self._new_row()
        self._rows[key] = row  # now the last one
        found = self._buckets[row]
        place = len(found)
        while place and found[place - 2] > bucket:
            place -= 2
        if place and found[place - 2] == bucket:
            found[place - 1] += number
        else:
            found[place:place] = array("q", (bucket, number))
        self._total[row] += number
        self._oldest[row] = found[0]
        if len(found) > _MOST:
            self._forget(row, self.count.oldest(self._time))

    def _new_row(self) -> int:
        """Return a row without events, for one more key."""
        oldest = self.count.oldest(self._time)
        for _ in range(2):  # more than one per new key, so that keys without events go
            key = next(iter(self._rows), None)
            if key is None or ((found := self._buckets[self._rows[key]]) and found[-2] >= oldest):
                break
            self._drop(key)
        if len(self._rows) >= self.max_keys:
            self._drop(next(iter(self._rows)))
            self.dropped_keys += 1
        if self._free:
            return self._free.pop()
        row = len(self._buckets)
        self._buckets.append(array("q"))
        if row == len(self._total):
            self._total = np.append(self._total, np.zeros(row, np.int64))
            self._oldest = np.append(self._oldest, np.full(row, _NEVER))
        return row

    def _drop(self, key: int) -> None:
        row = self._rows.pop(key)
        self._free.append(row)
        self._buckets[row] = array("q")
        self._total[row], self._oldest[row] = 0, _NEVER

    def _forget(self, row: int, oldest: int) -> None:
        """Drop the buckets of a row that have left the window."""
        found, place = self._buckets[row], 0
        while place < len(found) and found[place] < oldest:
            self._total[row] -= found[place + 1]
            place += 2
        del found[:place]
        self._oldest[row] = found[0] if found else _NEVER


def _plain(values: Any) -> Sequence[int]:
    return values.tolist() if isinstance(values, np.ndarray) else values
