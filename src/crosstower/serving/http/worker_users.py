"""Live users of a worker: attached to its open bundle, checked, and shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crosstower.errors import QueryError
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.event_counts import EventCounts
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.state.event_log import UserEvent, microseconds, moment
from crosstower.serving.state.events import MOST_CHARACTERS
from crosstower.serving.state.heads import Heads
from crosstower.serving.state.histories import LiveHistories
from crosstower.serving.state.state import State
from crosstower.values.ids import Id, given_id

_SHOWN = 1_000  # items of a history


class WorkerUsers:
    """Users as the state and the open bundle know them; for the thread of the bundle.

    `counts` takes events that the worker has stored.

    Args:
        state: has events and attributes.
        metrics: of the worker.

    """

    def __init__(self, state: State, metrics: ServerMetrics) -> None:
        self._state, self._metrics = state, metrics
        self._histories: LiveHistories | None = None
        self.counts = EventCounts(state, metrics)

    def serve(self, live: Live) -> None:
        """Let a bundle learn of users from now on: its attributes and the events that it names."""
        self._histories, funnel = None, live.funnel
        if funnel is None:
            return
        rule = retrieval_section_of(funnel.retriever.run.recipe).history
        until = funnel.retriever.run.info.facts.until
        self._histories = LiveHistories(
            self._state,
            rule.events,
            length=rule.length,
            after=None if until is None else microseconds(until),
            readable=funnel.users.readable,
        )
        funnel.users.live = self._histories.of

    def catch_up(self, heads: Heads) -> None:
        """Drop cached users that have changed in the state; its heads are given."""
        if self._histories is not None:
            self._histories.catch_up(heads)

    def show_lag(self) -> None:
        """Set the number of events that `catch_up` will find."""
        if self._histories is not None:
            self._metrics.history_lag(self._histories.behind())

    def keep_up(self, live: Live) -> None:
        """Count the worker's events, and show the size of the cache."""
        if self._histories is not None:
            self._metrics.history_cache(len(self._histories))
            self._metrics.users_unread(self._histories.unread)
            self._histories.unread = 0
        self.counts.count(live.funnel, self._histories)

    def ids(self, live: Live, given: Sequence[Any]) -> list[Id]:
        """Return canonical ids of users.

        Raises:
            QueryError: one cannot be an id, or the bundle has no users.

        """
        self._column(live)
        return [given_id("id", one) for one in given]

    def check(self, live: Live, rows: Sequence[Mapping[str, Any]]) -> dict[Id, dict[str, Any]]:
        """Return the attributes of whole rows by the user's canonical id; of one id the last.

        Raises:
            QueryError: a row has no id, an unknown column, or a bad value; names the row.

        """
        name, users = self._column(live), live.needs_funnel.users
        found: dict[Id, dict[str, Any]] = {}
        for number, row in enumerate(rows):
            where = f"users[{number}]"
            if row.get(name) is None:
                raise QueryError(f"{where}: no '{name}', which is the id of a user")
            user = _user_id(f"{where}: '{name}'", row[name])
            attributes = {column: value for column, value in row.items() if column != name}
            try:
                users.check(attributes)
            except QueryError as error:
                raise QueryError(f"{where}: {str(error).removeprefix('query: ')}") from None
            found[user] = attributes
        return found

    def show(self, live: Live, given: Any) -> dict[str, Any]:
        """Return the attributes, history and future events of a user.

        Raises:
            QueryError: it cannot be an id, or the bundle has no users.

        """
        (user,) = self.ids(live, [given])
        funnel, histories = live.needs_funnel, self._needs()
        trained, stored = funnel.retriever.queries.known(user), histories.attributes(user)
        counting, waiting = histories.newest(user)
        places = funnel.catalogue.items.history_places([event.item_id for event in counting])
        acting = [e for e, place in zip(counting, places, strict=True) if place >= 0]
        unknown = [e for e, place in zip(counting, places, strict=True) if place < 0]
        rows = [] if trained is None else _trained(funnel, trained.history[-_SHOWN:])
        kept = stored or {}
        return {
            "user": user,
            "trained": trained is not None,
            "attributes": kept,
            "ignored_attributes": sorted(set(kept) - set(histories.of(user).attributes)),
            "history": [*rows, *_shown(acting)][-_SHOWN:],
            "future": _shown(waiting),
            "unknown_items": _shown(unknown),
            "known": trained is not None or stored is not None or bool(counting or waiting),
        }

    def _column(self, live: Live) -> str:
        """Return the column of the user's id.

        Raises:
            QueryError: the bundle has no users.

        """
        name = retrieval_section_of(live.needs_funnel.retriever.run.recipe).user
        if name is None:
            raise QueryError("users: this bundle has none; its recipe has no retrieval.user")
        return name

    def _needs(self) -> LiveHistories:
        if self._histories is None:
            raise QueryError("users: this bundle has none; it only ranks")
        return self._histories


def _user_id(where: str, given: Any) -> Id:
    """Return the canonical id of a user; an id that no request could name is an error."""
    text = given if isinstance(given, str) else ""
    if isinstance(given, bool) or len(text) > MOST_CHARACTERS:
        shown = given if isinstance(given, bool) else f"{len(text):,} characters"
        raise QueryError(
            f"{where}: expected an integer or a text of at most {MOST_CHARACTERS} characters, got"
            f" {shown}"
        )
    return given_id(where, given)


def _trained(funnel: OnlineFunnel, history: Any) -> list[dict[str, Any]]:
    ids = funnel.catalogue.items.ids(history)
    return [{"item_id": item, "type": None, "time": None} for item in ids]


def _shown(events: Iterable[UserEvent]) -> list[dict[str, Any]]:
    return [{"item_id": e.item_id, "type": e.type, "time": moment(e.time)} for e in events]
