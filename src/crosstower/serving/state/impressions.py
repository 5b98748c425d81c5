"""The server's log of a list: one recommendation, and one impression per shown item.

The recommendation has the candidates that took part in the draw, in the order of their scores; an
impression has the item's rank, score and propensity. Both are ordinary events, so `crosstower
events` exports them. Their `event_id` is made here: a client may send a request id twice.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstower.serving.state.database import Database
from crosstower.serving.state.event_log import Selection, last_event, read
from crosstower.serving.state.events import Event, now

RECOMMENDATION, IMPRESSION = "recommendation", "impression"
"""Event types that the server writes."""

_DRAWN = {"drawn_rank", "propensity"}
_COLUMNS = ("event_id", "type", "request_id", "user", "item_id", "rank", "value", "query",
            "attributes")  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A logged impression.

    `drawn_rank` is the rank that the draw gave the item, from 1, before rules moved it.
    """

    item_id: Any
    rank: int
    drawn_rank: int
    propensity: float


@dataclass(frozen=True)
class LoggedList:
    """A logged recommendation with its impressions.

    `candidates` are the ids of the items that took part in the draw, best first, empty without
    exploration.
    """

    request_id: str
    user: Any
    query: Mapping[str, Any]
    candidates: Sequence[Any]
    shown: list[Shown]


def impression_events(
    items: Sequence[Mapping[str, Any]],
    *,
    request_id: str,
    version: str,
    user: Any,
    query: Mapping[str, Any],
    explore: Mapping[str, Any] | None,
    candidates: Sequence[Any],
) -> list[Event]:
    """Return the events of one list.

    Args:
        items: shown items, with `item_id`, `rank` and `score`; with exploration also
            `propensity`, `conditional_propensity` and `drawn_rank`. An item with a `team`, of an
            interleaved list, has no propensity.
        request_id: of the request, to which feedback refers.
        version: of the bundle.
        user: id of the user, if the request has one.
        query: columns of the query.
        explore: the exploration as plain data, None without one.
        candidates: ids of the items that took part in the draw, best first.

    """
    name, time = uuid.uuid4().hex, now()
    common = {"time": time, "request_id": request_id, "user": user, "query": dict(query) or None}
    facts = {"version": version, "explore": explore, "candidates": list(candidates)}
    events = [Event(event_id=name, type=RECOMMENDATION, attributes=facts, **common)]
    for item in items:
        attributes = {
            "version": version,
            "score": item["score"],
            "propensity": item.get("propensity", 1.0),
            "conditional_propensity": item.get("conditional_propensity", 1.0),
            "drawn_rank": item.get("drawn_rank", item["rank"]),
        }
        if item.get("team") is not None:
            attributes |= {"team": item["team"], "propensity": None, "conditional_propensity": None}
        events.append(
            Event(
                event_id=f"{name}/{item['rank']}",
                type=IMPRESSION,
                item_id=item["item_id"],
                rank=item["rank"],
                attributes=attributes,
                **common,
            )
        )
    return events


def logged_lists(database: Database, *, after: int | None, until: int | None) -> list[LoggedList]:
    """Return the lists that a server has logged, oldest first.

    Args:
        database: of the state.
        after: leave out lists before this time, in microseconds since 1970.
        until: leave out lists at or after this time.

    """
    found: dict[str, LoggedList] = {}
    for event_id, kind, request_id, user, item_id, rank, _, query, text in _events(
        database, (RECOMMENDATION, IMPRESSION), after, until
    ):
        attributes, name = json.loads(text or "{}"), event_id.rpartition("/")[0]
        if kind == RECOMMENDATION and isinstance(attributes.get("candidates"), list):
            found[event_id] = LoggedList(
                request_id, _value(user), _value(query) or {}, attributes["candidates"], []
            )
        elif name in found and attributes.keys() >= _DRAWN:  # clients write impressions as well
            drawn, propensity = attributes["drawn_rank"], attributes["propensity"]
            found[name].shown.append(Shown(_value(item_id), rank, drawn, propensity))
    return list(found.values())


def rewards_of(database: Database, kind: str) -> dict[tuple[str, Any], float]:
    """Return the reward by (request id, item id) from the feedback events of a type.

    It is the event's value, or 1 where it has none; of several events for one item the last one.
    """
    return {
        (request_id, _value(item_id)): 1.0 if value is None else float(value)
        for _, _, request_id, _, item_id, _, value, _, _ in _events(database, (kind,), None, None)
        if request_id is not None and item_id is not None
    }


def _events(
    database: Database, types: tuple[str, ...], after: int | None, until: int | None
) -> Iterator[tuple[Any, ...]]:
    selection = Selection(after, until, types, last_event(database))
    for rows in read(database, selection, _COLUMNS):
        yield from rows


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)
