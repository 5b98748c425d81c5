"""Outcomes of the events that a worker has stored, for its metrics."""

from __future__ import annotations

from collections import Counter, deque

from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.state.event_log import EventFacts, read_between
from crosstower.serving.state.heads import StoredEvents
from crosstower.serving.state.histories import LiveHistories
from crosstower.serving.state.state import State
from crosstower.values.ids import id_series

_AT_ONCE = 2_000  # events; some milliseconds of the worker's thread


class EventCounts:
    """Counts events after they were acknowledged, some at a time.

    Args:
        state: has the events.
        metrics: of the worker.

    """

    def __init__(self, state: State, metrics: ServerMetrics) -> None:
        self._state, self._metrics = state, metrics
        self._waiting = deque[tuple[int, int]]()  # numbers of the first event less one, and last

    def add(self, stored: StoredEvents) -> None:
        """Note events that this worker has stored."""
        if stored.stored:
            self._waiting.append((stored.after, stored.last))

    def count(self, funnel: OnlineFunnel | None, histories: LiveHistories | None) -> None:
        """Count the next events by type, and those of the history by outcome."""
        rows: list[EventFacts] = []
        while self._waiting and (room := _AT_ONCE - len(rows)) > 0:
            after, last = self._waiting[0]
            with self._state.database.reading() as connection:
                found = read_between(connection, after, last, room)
            self._waiting.popleft()
            rows += found
            if len(found) == room and found[-1].sequence < last:
                self._waiting.appendleft((found[-1].sequence, last))
        types = () if histories is None else histories.events
        for kind, number in Counter(r.type if r.type in types else "other" for r in rows).items():
            self._metrics.events_of_type(kind, number)
        if funnel is None or histories is None:
            return
        named = [row for row in rows if row.type in types]
        for outcome, number in outcomes(funnel, histories, named).items():
            self._metrics.history_events(outcome, number)


def outcomes(
    funnel: OnlineFunnel, histories: LiveHistories, events: list[EventFacts]
) -> Counter[str]:
    """Return the number of events by outcome.

    An event is `used`; or it has `no_user` or `no_item`, its time is in the training rows
    (`trained`) or in the `future`, or its item is unknown (`unknown_item`). `unknown_user` counts
    the used ones of users without training rows again.

    Args:
        funnel: knows items and users.
        histories: of the types of these events.
        events: any.

    """
    found = Counter[str]()
    known = funnel.catalogue.items.history_places([e.item_id for e in events]) >= 0
    trained = funnel.retriever.queries.are_known(id_series([e.user for e in events]))
    horizon, start = histories.horizon(), histories.after
    for event, item, user in zip(events, known, trained, strict=True):
        if event.user is None:
            found["no_user"] += 1
        elif event.item_id is None:
            found["no_item"] += 1
        elif start is not None and event.time <= start:
            found["trained"] += 1
        elif event.time > horizon:
            found["future"] += 1
        elif not item:
            found["unknown_item"] += 1
        else:
            found["used"] += 1
            found["unknown_user"] += not user
    return +found
