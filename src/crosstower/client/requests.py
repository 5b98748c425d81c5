"""Requests to the server, as keyword arguments of the client's methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Required

from typing_extensions import TypedDict

from crosstower.client.rules import (
    BlendOverride,
    Epsilon,
    Id,
    PlackettLuce,
    RequestRules,
    Thompson,
)

Row = Mapping[str, Any]
"""A row: value by column."""


class ListRequest(TypedDict, total=False):
    """Fields of `recommend` and `rank`."""

    user: Id | None
    query: Row
    history: Sequence[Id] | None
    history_times: Sequence[datetime | str] | None
    blend: BlendOverride | None
    stages: bool
    rules: RequestRules | None
    explain: bool


class RecommendRequest(ListRequest, total=False):
    """A request for a list of items.

    Args:
        k: number of items (default: 10).
        where: condition on the attributes of items, such as "price < 120".
        exclude: ids of items to leave out.
        candidates: number of items to rank.
        explore: draws the order of the best candidates; None turns the bundle's exploration off.
        log: store the shown items as impressions before the response is sent (default: the
            server's setting).
        user: id of the user.
        query: columns of the query.
        history: ids of items, oldest first, in place of the user's history.
        history_times: one per item of history, with time zones, for models that read times.
        blend: a blend for this request.
        stages: also return all candidates by stage.
        rules: rules for this request.
        explain: also return what each rule moved, and counts of events.

    """

    k: int
    where: str | None
    exclude: Sequence[Id]
    candidates: int | None
    explore: PlackettLuce | Epsilon | Thompson | None
    log: bool | None


class RankRequest(ListRequest, total=False):
    """A request to order given candidates: `items` or `rows`.

    Args:
        items: ids of items.
        rows: candidates with all columns; the query's columns apply to every row.
        k: number of items; all by default.
        user: id of the user.
        query: columns of the query.
        history: ids of items, oldest first, in place of the user's history.
        history_times: one per item of history, with time zones, for models that read times.
        blend: a blend for this request.
        stages: also return all candidates by stage.
        rules: rules for this request.
        explain: also return what each rule moved, and counts of events.

    """

    items: Sequence[Id] | None
    rows: Sequence[Row] | None
    k: int | None


class SearchRequest(TypedDict, total=False):
    """A request for the items nearest to a text.

    Args:
        text: the text.
        k: number of items (default: 10).
        where: condition on the attributes of items.
        query: further columns of the query.

    """

    text: Required[str]
    k: int
    where: str | None
    query: Row


class SimilarRequest(TypedDict, total=False):
    """A request for the items most similar to one.

    Args:
        item: id of the item.
        k: number of items (default: 10).
        where: condition on the attributes of items.

    """

    item: Required[Id]
    k: int
    where: str | None


class Event(TypedDict, total=False):
    """One event, such as an impression, a click, a booking.

    Args:
        event_id: made by the caller; the same one sent again is stored once.
        type: such as click.
        time: with a time zone; now by default.
        request_id: of the list in which the item was shown.
        user: id of the user.
        item_id: id of the item.
        rank: of the item in the list, from 1.
        value: of the event, such as a rating, a price or seconds watched.
        query: columns of the query of the request.
        attributes: anything else.

    """

    event_id: Required[str]
    type: Required[str]
    time: datetime | str | None
    request_id: str | None
    user: Id | None
    item_id: Id | None
    rank: int | None
    value: float | None
    query: Row | None
    attributes: Row | None


class ItemVector(TypedDict):
    """A vector of an item.

    Args:
        id: of the item.
        vector: its numbers.

    """

    id: Id
    vector: Sequence[float]
