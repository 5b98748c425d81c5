"""Trends of the sources of a bundle, kept up to date with the events of a state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from crosstower.retrieval.sources.trend import Trend
from crosstower.serving.state.counted_events import CountedEvent, read_to_count
from crosstower.serving.state.event_keys import ids_of
from crosstower.serving.state.histories import AHEAD
from crosstower.serving.state.state import State

_CHUNK, _SLICE = 10_000, 2_000  # events read at a time: at once, and between requests
_MICROSECOND = 1_000  # nanoseconds
_LATEST = 2**63 // _MICROSECOND - 1  # microseconds since 1970, in the year 2262


class LiveTrends:
    """Takes the events of a state into trends; for one thread.

    The counts equal those of a replay of the events. They are brought up to date by `renew`, once a
    second, as an order of all items takes longer than a request should. Deletions of events make
    them stale: `renew` then recounts some events at a time, while the old counts serve.

    Args:
        state: has the events.
        trends: of the sources, with the training rows.
        events: types of the events that count.
        now: the clock, in nanoseconds since 1970.

    """

    def __init__(
        self,
        state: State,
        trends: Sequence[Trend],
        events: Sequence[str],
        *,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._state, self._trends, self._types, self._now = state, trends, events, now
        self._deletions, self._sequence = state.heads().deletions, 0
        self._next: tuple[list[Trend], int] | None = None  # trends, and deletions before them
        self._next_sequence = 0
        self._catch_up()

    def _catch_up(self) -> None:
        """Count the events since the last call."""
        more = self._state.heads().events > self._sequence
        while more:
            self._sequence, more = self._read(self._trends, self._sequence, _CHUNK)
        self._advance()

    def renew(self) -> bool:
        """Count new events, recount some after deletions; return whether there is more to do."""
        self._catch_up()
        if self._next is None:
            deletions = self._state.heads().deletions
            if deletions == self._deletions:
                return False
            self._next, self._next_sequence = ([t.fresh() for t in self._trends], deletions), 0
        fresh, deletions = self._next
        self._next_sequence, more = self._read(fresh, self._next_sequence, _SLICE)
        if more:
            return True
        for trend, other in zip(self._trends, fresh, strict=True):
            trend.take(other)
        self._sequence, self._deletions, self._next = self._next_sequence, deletions, None
        return self._state.heads().deletions != deletions

    def _advance(self) -> None:
        for trend in self._trends:
            trend.advance(self._horizon)

    @property
    def _horizon(self) -> int:
        return self._now() + AHEAD * _MICROSECOND

    def _read(self, trends: Sequence[Trend], after: int, limit: int) -> tuple[int, bool]:
        """Count the next events; return the number of the last one, and whether there are more.

        Args:
            trends: to count them.
            after: number of the last event so far.
            limit: largest number of events.

        """
        last = self._state.heads().events
        with self._state.database.reading() as connection:
            events = read_to_count(
                connection,
                self._types,
                after=after,
                last=last,
                since=min(trend.start for trend in trends) // _MICROSECOND - 1,
                limit=limit,
                properties=False,
            )
        self._take(trends, [event for event in events if event.item_id is not None])
        more = len(events) == limit
        return events[-1].sequence if more else max(last, after), more

    def _take(self, trends: Sequence[Trend], events: Sequence[CountedEvent]) -> None:
        if not events:
            return
        times = np.array([event.time for event in events], dtype=np.int64)
        times = times.clip(max=_LATEST) * _MICROSECOND
        ids = ids_of([event.item_id for event in events])
        for trend in trends:
            trend.add(ids, times, now=self._horizon)
