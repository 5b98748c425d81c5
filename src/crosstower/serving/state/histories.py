"""Live users of a state: attributes and newest events, in a bounded cache."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstower.retrieval.online.users import NO_LIVE_USER, LiveUser
from crosstower.serving.state import event_log, user_table
from crosstower.serving.state.database import StateUnavailableError
from crosstower.serving.state.event_log import UserEvent
from crosstower.serving.state.heads import Heads
from crosstower.serving.state.json_text import json_text
from crosstower.serving.state.state import State
from crosstower.values.ids import Id

AHEAD = 60_000_000
"""Microseconds that the clock of a client may be ahead; later events wait for their time."""

_MOST_ITEMS = 500_000
_CHARACTERS = 256  # of attributes that count as one more item
_MANY = 10_000  # events since the last look, above which all users are read again
_NEVER = 2**62


@dataclass(frozen=True)
class _Cached:
    user: LiveUser
    size: int
    until: int  # microseconds since 1970; from then on another event counts


class LiveHistories:
    """Live users, read from the state when first requested, or after a change.

    A user's events are read by an index, and kept until `catch_up` finds another event of the user
    in the log. `unread` counts look-ups that failed while the database could not be reached. For
    one thread.

    Args:
        state: has the events and the attributes.
        events: types of the events that extend the history; without any, only attributes are read.
        length: number of a user's newest events that are used.
        after: time of the last training row in microseconds since 1970: events up to it are in the
            training rows already. None uses all events.
        readable: returns the attributes without those that the bundle cannot read.
        most_items: bound of the cache, in items of all users.
        now: the clock, in microseconds since 1970.

    """

    def __init__(
        self,
        state: State,
        events: Sequence[str] = (),
        *,
        length: int = 100,
        after: int | None = None,
        readable: Callable[[Mapping[str, Any]], dict[str, Any]] = dict,
        most_items: int = _MOST_ITEMS,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self.events, self.length, self.after = tuple(events), length, after
        self._state, self._most, self._now = state, most_items, now
        self._readable = readable
        self._cached: OrderedDict[Id, _Cached] = OrderedDict()
        self._size = 0
        self.unread = 0
        heads = state.heads()
        self._seen = (heads.events, heads.users, heads.deletions)

    def __len__(self) -> int:
        """Return the number of cached items; a user counts as one more, and long attributes too."""
        return self._size

    def of(self, user: Id) -> LiveUser:
        """Return a user as of the last `catch_up`; empty for one that the state does not know.

        Args:
            user: a canonical id.

        Raises:
            ServeError: the state is damaged or cannot be read.

        """
        events, users, _ = self._seen
        if not users and not (events and self.events):
            return NO_LIVE_USER  # of anybody
        found = self._cached.get(user)
        if found is not None and found.until > self.horizon():
            self._cached.move_to_end(user)
            return found.user
        self._drop(user)
        try:
            found = self._read(user)
        except StateUnavailableError:
            self.unread += 1
            return NO_LIVE_USER  # what the training rows have is used
        self._cached[user] = found
        self._size += found.size
        while self._size > self._most and len(self._cached) > 1:
            self._drop(next(iter(self._cached)))
        return found.user

    def attributes(self, user: Id) -> dict[str, Any] | None:
        """Return the attributes of a user as they were put, None for a user without."""
        with self._state.database.reading() as connection:
            return user_table.attributes_of(connection, user)

    def newest(self, user: Id) -> tuple[list[UserEvent], list[UserEvent]]:
        """Return the events of a user that count now, and those that wait for their time."""
        horizon, start = self.horizon(), self._start
        with self._state.database.reading() as connection:
            ranges = [(start, horizon), (max(start, horizon), _NEVER)]
            counting, waiting = (
                event_log.newest_of_user(
                    connection, user, self.events, after=a, until=b, length=self.length
                )
                for a, b in ranges
            )
        return counting, waiting

    def behind(self) -> int:
        """Return the number of events that were stored since the last look."""
        return max(0, self._state.heads().events - self._seen[0])

    def catch_up(self, heads: Heads) -> None:
        """Forget the users that have changed since the last poll, in any worker.

        Args:
            heads: of the state, as it is now.

        """
        now = (heads.events, heads.users, heads.deletions)
        if now == self._seen:
            return
        events, users, deletions = self._seen
        if now[2] != deletions or now[0] - events > _MANY or now[1] - users > _MANY:
            self._cached.clear()
            self._size = 0
        else:
            with self._state.database.reading() as connection:
                changed = set(event_log.users_after(connection, events, now[0]))
                changed |= set(user_table.users_after(connection, users, now[1]))
            for user in changed:
                self._drop(user)
        self._seen = now

    @property
    def _start(self) -> int:
        return -_NEVER if self.after is None else self.after

    def horizon(self) -> int:
        """Return the time up to which events count, in microseconds since 1970."""
        return self._now() + AHEAD

    def _drop(self, user: Id) -> None:
        found = self._cached.pop(user, None)
        if found is not None:
            self._size -= found.size

    def _read(self, user: Id) -> _Cached:
        horizon, start = self.horizon(), self._start
        with self._state.database.reading() as connection:
            attributes = user_table.attributes_of(connection, user)
            found = event_log.newest_of_user(
                connection, user, self.events, after=start, until=horizon, length=self.length
            )
            later = max(start, horizon)
            next_time = event_log.next_of_user(connection, user, self.events, later)
        items = tuple(event.item_id for event in found)
        read = {} if attributes is None else self._readable(attributes)
        size = 1 + len(items) + len(json_text(read)) // _CHARACTERS
        times = tuple(event.time // 1_000_000 for event in found)
        return _Cached(
            LiveUser(read, items, times), size, _NEVER if next_time is None else next_time
        )
