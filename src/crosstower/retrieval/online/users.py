"""The user of a request: training rows, and later data of the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crosstower.errors import QueryError, did_you_mean
from crosstower.retrieval.history_ages import now_in_seconds
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.queries import NO_ITEMS, KnownUser, Queries
from crosstower.retrieval.unknown_user import unknown_items, unknown_words
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id, given_id, id_series


@dataclass(frozen=True)
class LiveUser:
    """Attributes of a user, and the items of events after the training rows, oldest first.

    Args:
        attributes: query columns.
        items: canonical ids, of unknown items too.
        times: of the events, in seconds since 1970; as of now if empty.

    >>> LiveUser({"country": "FR"}, (7, 3)).items
    (7, 3)

    """

    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    items: tuple[Id, ...] = ()
    times: tuple[int, ...] = ()


LiveUsers = Callable[[Id], LiveUser]
"""Returns the live user of a canonical id."""

NO_LIVE_USER = LiveUser()


def no_live_users(_user: Id) -> LiveUser:
    """Return an empty live user, as outside of a server."""
    return NO_LIVE_USER


@dataclass(frozen=True)
class RequestUser:
    """The user of a request.

    `id` is None for an anonymous request; `trained` is true if the training rows have the user.
    `columns` are those of the user's last row, replaced by the attributes. `history` are places of
    items, oldest first; of an item that was put again, the place in the index. `newest` are the
    ids of the last ones, for the ranker, which reads events of unknown items as unseen values, as
    it does in a log; `unknown` are ids of the request's history that are not items. `ages` and
    `newest_ages` are those of `history` and `newest`, in seconds before the request.
    """

    id: Id | None = None
    trained: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict[str, Any])
    history: Indices = field(default_factory=lambda: NO_ITEMS)
    ages: Indices = field(default_factory=lambda: NO_ITEMS)
    newest: tuple[Id, ...] = ()
    newest_ages: tuple[int, ...] = ()
    unknown: tuple[Id, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything is known of the user."""
        return self.trained or bool(self.columns) or len(self.history) > 0

    def notices(self, given: Id | None, popular: str | None) -> tuple[str, ...]:
        """Return notices for the caller: an unknown user, and ids of a history that are not items.

        Args:
            given: the id of the request.
            popular: what the list has if nothing could be retrieved; None if something was.

        """
        unknown = unknown_items(self.unknown) if self.unknown else ()
        if given is None or self.known:
            return unknown
        return (unknown_words(given, popular), *unknown)


NOBODY = RequestUser()


class OnlineUsers:
    """Looks up the users of requests.

    `live` gives what is known of a user beyond the training rows, `columns` are those that
    attributes may have.

    Args:
        queries: has the users of the training rows.
        items: of the histories.
        columns: that attributes may have.
        check: refuses attributes that the ranker cannot read.
        length: number of newest items that the ranker reads.
        now: the clock, in seconds since 1970.

    """

    def __init__(
        self,
        queries: Queries,
        items: OnlineItems,
        columns: Sequence[str],
        *,
        check: Callable[[Mapping[str, Any]], None] | None = None,
        length: int = 0,
        now: Callable[[], int] = now_in_seconds,
    ) -> None:
        self._queries, self._items, self._check, self._length = queries, items, check, length
        self.columns = tuple(columns)
        self.live: LiveUsers = no_live_users
        self.now = now

    def of(
        self,
        user: Id | None,
        history: Sequence[Id] | None,
        ages: Sequence[int] | None = None,
    ) -> RequestUser:
        """Return the user of a request as of now.

        Args:
            user: an id; None for an anonymous request.
            history: ids of items, oldest first, that replace the user's own history; None keeps it.
            ages: of these, in seconds before now; all 0 if None.

        Raises:
            QueryError: an id cannot be one, or the recipe has no users.

        """
        self._queries.check_user(user)
        if user is None or user == "":
            return RequestUser(**self._given(history or (), ages))
        known, live = self._queries.known(user), self.live(given_id("user", user))
        columns = live.attributes if known is None else {**known.row, **live.attributes}
        found = self._own(known, live) if history is None else self._given(history, ages)
        own = user if known is None else known.id
        return RequestUser(own, known is not None, columns, **found)

    def _own(self, known: KnownUser | None, live: LiveUser) -> dict[str, Any]:
        """Return the history of a user: that of the training rows, then live events."""
        now, places = self.now(), self._places(live.items)
        ages = np.zeros(len(places), np.int64)
        if len(live.times) == len(places):
            ages = np.maximum(now - np.array(live.times, np.int64), 0)
        if known is not None:
            old, theirs = known.history, known.ages(now)
            places = np.concatenate([old, places]) if len(places) else old
            ages = np.concatenate([theirs, ages]) if len(ages) else theirs
        newest = self._newest(places, live.items)
        found = {"newest": newest, "newest_ages": tuple(ages[len(ages) - len(newest) :].tolist())}
        if len(live.items):
            places, ages = places[places >= 0], ages[places >= 0]
        return found | {"history": places, "ages": ages}

    def _given(self, history: Sequence[Id], ages: Sequence[int] | None) -> dict[str, Any]:
        """Return a given history: the places of items, and the ids that are not items."""
        found = self._places(history)
        whole = np.zeros(len(found), np.int64) if ages is None else np.array(ages, np.int64)
        unknown = tuple(i for i, place in zip(history, found, strict=True) if place < 0)
        places, kept = found[found >= 0], whole[found >= 0]
        newest = self._newest(places)
        return {
            "history": places,
            "ages": kept,
            "newest": newest,
            "newest_ages": tuple(kept[len(kept) - len(newest) :].tolist()),
            "unknown": unknown,
        }

    def _places(self, ids: Sequence[Id]) -> Indices:
        return self._items.history_places(ids) if ids else NO_ITEMS

    def _newest(self, places: Indices, live: Sequence[Id] = ()) -> tuple[Id, ...]:
        """Return the ids of the last items; `live` are the last of all, also if unknown (-1)."""
        if not self._length or not len(places):
            return ()
        last = places[-self._length :]
        found = self._items.ids(last[last >= 0])
        if len(found) == len(last):
            return tuple(found)
        known, recent = iter(found), live[-len(last) :]
        tail = [*last[: len(last) - len(recent)].tolist(), *recent]
        ids = [next(known) if p >= 0 else i for p, i in zip(last.tolist(), tail, strict=True)]
        return tuple(id_series(ids).to_list())  # of one type

    def check(self, attributes: Mapping[str, Any]) -> None:
        """Reject attributes that a query could not have.

        Raises:
            QueryError: a column is unknown, or a value is bad.

        """
        for name in attributes:
            if name not in self.columns:
                raise QueryError(
                    f"no column '{name}'{did_you_mean(name, list(self.columns))}; users have:"
                    f" {', '.join(self.columns) or 'none'}"
                )
        read = {n: v for n, v in attributes.items() if n in self._queries.columns}
        self._queries.row(None, None, read)
        if self._check is not None:
            self._check(attributes)

    def readable(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes without those that `check` rejects, as of an earlier bundle."""
        return {name: value for name, value in attributes.items() if self._is_good(name, value)}

    def _is_good(self, name: str, value: Any) -> bool:
        try:
            self.check({name: value})
        except QueryError:
            return False
        return True
