"""Counts of a bundle's ranker, kept up to date with the events of a state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from crosstower.data.counters.count_files import CountsAtEnd
from crosstower.data.counters.keys import NO_KEY, keys_of
from crosstower.funnel.online.counters import OnlineCounters
from crosstower.recipe.event_count import EventCount
from crosstower.serving.state.counted_events import CountedEvent, read_to_count
from crosstower.serving.state.event_keys import EventKeys
from crosstower.serving.state.state import State
from crosstower.values.hashing import U64

_CHUNK, _SLICE = 10_000, 2_000  # events read at a time: at once, and between requests
_MOST_WAITING, _MOST_CHARACTERS = 100_000, 50_000_000  # of events that wait for their item
_MICROSECOND = 1_000  # nanoseconds
_LATEST = 2**63 // _MICROSECOND - 1  # microseconds since 1970, in the year 2262


@dataclass(frozen=True)
class CountStatistics:
    """Numbers of events by outcome, and the size of the counts.

    `outcomes` are numbers of events, once per count; `keys` are those with events, `dropped_keys`
    those dropped because there were too many.
    """

    outcomes: Mapping[str, int]
    keys: int
    dropped_keys: int
    bytes: int


@dataclass
class _Counting:
    """Counts of events after the end of the training log, up to a sequence number of the state.

    `waiting` are events whose item is unknown; `dropped` counts those beyond the limit. `keyed`
    and `keyless` are numbers of events with and without a key, once per count.
    """

    base: CountsAtEnd
    deletions: int
    sequence: int = 0
    waiting: deque[CountedEvent] = field(default_factory=deque[CountedEvent])
    characters: int = 0
    dropped: int = 0
    keyed: int = 0
    keyless: int = 0

    def wait(self, events: Sequence[CountedEvent]) -> None:
        """Keep events until their item exists; the oldest ones go if there are too many."""
        self.waiting.extend(events)
        self.characters += sum(map(_length, events))
        while len(self.waiting) > _MOST_WAITING or self.characters > _MOST_CHARACTERS:
            self.characters -= _length(self.waiting.popleft())
            self.dropped += 1


class LiveCounts:
    """Takes the events of a state into the counts of a ranker; for one thread.

    The counts are those of the training log, and those of the events in the state that are later
    than its end. Deletions of events, and items put with other keys, make them stale: `renew`
    recounts some events at a time, while the old counts serve.

    Args:
        state: has the events.
        counters: of the ranker.
        load: returns the counts at the end of the training log, new ones at each call.
        keys: finds the keys of events.
        items: returns the number of changes of items so far, and that of changes of their keys.

    """

    def __init__(
        self,
        state: State,
        counters: OnlineCounters,
        load: Callable[[], CountsAtEnd],
        keys: EventKeys,
        items: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self._state, self._counters, self._load, self._keys = state, counters, load, keys
        self._items = items
        self._types = sorted({kind for count in counters.counts for kind in count.events})
        self._window = max((c.window + c.width + c.delay for c in counters.counts), default=0)
        self._puts, self._moved = items()
        self._next: _Counting | None = None
        self._now = self._started()
        self._read(self._now, _CHUNK, whole=True)
        counters.counts = self._now.base.counts

    def catch_up(self) -> None:
        """Count the events since the last call, and those whose item exists now."""
        now = self._now
        if self._state.heads().events > now.sequence:
            self._read(now, _CHUNK, whole=True)
        puts, _ = self._items()
        if puts != self._puts and now.waiting:
            waiting, now.waiting, now.characters = list(now.waiting), deque(), 0
            self._take(now, waiting, again=True)
        self._puts = puts

    def renew(self) -> bool:
        """Recount some events if the counts are stale; return whether there is more to do."""
        for counts in self._now.base.counts.values():
            counts.advance(self._counters.now())
        if self._next is None:
            if not self._stale and self._items()[1] == self._moved:
                return False
            self._next, self._moved = self._started(), self._items()[1]
        if self._read(self._next, _SLICE, whole=False):
            return True
        self._now, self._next, self._puts = self._next, None, -1  # items may have come meanwhile
        self._counters.counts = self._now.base.counts
        return self._stale  # by deletions since it was started

    @property
    def _stale(self) -> bool:
        return self._state.heads().deletions != self._now.deletions

    def figures(self) -> CountStatistics:
        """Return the numbers of events so far, and the size of the counts."""
        now, counts = self._now, self._now.base.counts.values()
        outcomes = {
            "keyed": now.keyed,
            "no_key": now.keyless,
            "future": sum(one.waiting for one in counts),
            "unknown_item": len(now.waiting),
            "dropped": now.dropped + sum(one.dropped_waiting for one in counts),
        }
        return CountStatistics(
            outcomes,
            keys=sum(len(one) for one in counts),
            dropped_keys=sum(one.dropped_keys for one in counts),
            bytes=sum(one.nbytes for one in counts),
        )

    def _started(self) -> _Counting:
        """Return the counts of the training log, as of now."""
        base = self._load()
        for counts in base.counts.values():
            counts.advance(self._counters.now())
        return _Counting(base, self._state.heads().deletions)

    def _read(self, counting: _Counting, limit: int, *, whole: bool) -> bool:
        """Count the next events of the state, all if `whole`; return whether there are more."""
        while self._types:
            last = self._state.heads().events
            since = self._counters.now() - self._window
            if counting.base.until is not None:
                since = max(since, counting.base.until)
            with self._state.database.reading() as connection:
                events = read_to_count(
                    connection,
                    self._types,
                    after=counting.sequence,
                    last=last,
                    since=since // _MICROSECOND,
                    limit=limit,
                    properties=self._keys.reads_properties,
                )
            more = len(events) == limit
            counting.sequence = events[-1].sequence if more else max(last, counting.sequence)
            self._take(counting, events)
            if not (more and whole):
                return more
        return False

    def _take(
        self, counting: _Counting, events: Sequence[CountedEvent], *, again: bool = False
    ) -> None:
        """Count events; of those that waited for their item, by the keys that they lacked."""
        if not events:
            return
        parts, waits = self._keys.of(events), np.zeros(len(events), dtype=bool)
        times = np.array([event.time for event in events], dtype=np.int64)
        times = times.clip(max=_LATEST) * _MICROSECOND
        types = np.array([event.type for event in events])
        for count, numbers in counting.base.counts.items():
            mine, keys = np.isin(types, count.events), _keys(parts.whole, count)
            if again:
                mine &= _keys(parts.own, count) == NO_KEY
            lacking = mine & (keys == NO_KEY)
            mine &= ~lacking
            numbers.add(keys[mine], times[mine])
            later = lacking & parts.orphaned & bool(parts.of_items.intersection(count.by))
            waits |= later
            counting.keyed += int(mine.sum())
            counting.keyless += int((lacking & ~later).sum())
        counting.wait([event for event, late in zip(events, waits.tolist(), strict=True) if late])


def _length(event: CountedEvent) -> int:
    return sum(len(value) for value in event if isinstance(value, str))


def _keys(parts: Mapping[str, U64], count: EventCount) -> U64:
    return keys_of([parts[name] for name in count.by])
