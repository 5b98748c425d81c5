"""Responses of the server: lists, writes, users and health.

A response keeps fields that this version does not know, so a newer server can be used; they are in
`model_extra`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from crosstower.recipe.frozen import FrozenModel


class Response(FrozenModel):
    """Base of all responses."""

    model_config = ConfigDict(frozen=True, extra="allow")


class SourceHit(Response):
    """Rank and score of a candidate in a source that found it."""

    rank: int = Field(description="Rank in the source, from 1.")
    score: float = Field(description="Score of the source.")


class ListItem(Response):
    """An item of a list; values of stages that the bundle lacks are None."""

    rank: int = Field(description="Rank in the list, from 1.")
    item_id: int | str = Field(description="Id of the item.")
    score: float = Field(description="Score that orders the list.")
    retrieval_rank: int | None = Field(default=None, description="Rank among the retrieved items.")
    retrieval_score: float | None = Field(default=None, description="Score of the retriever.")
    predictions: dict[str, float] = Field(default={}, description="Prediction by task.")
    blend_score: float | None = Field(default=None, description="Blended score of all tasks.")
    propensity: float | None = Field(
        default=None, description="Probability of the item at its drawn rank, with exploration."
    )
    conditional_propensity: float | None = Field(
        default=None, description="The same given the items drawn above; None for thompson."
    )
    drawn_rank: int | None = Field(default=None, description="Rank in the draw, before rules.")
    attributes: dict[str, Any] = Field(default={}, description="Attributes of the item.")
    team: str | None = Field(
        default=None, description="Arm whose ranking picked the item of an interleaved list."
    )
    moves: dict[str, int] = Field(default={}, description="Places up by rule, with `explain`.")
    sources: dict[str, SourceHit] | None = Field(
        default=None, description="Sources that found the item; None without sources."
    )
    counts: dict[str, list[int]] | None = Field(
        default=None, description="Counted events by column, with `explain`."
    )


class Candidate(Response):
    """A candidate with its rank after each stage."""

    item_id: int | str = Field(description="Id of the item.")
    rank: int = Field(description="Final rank, from 1.")
    score: float = Field(description="Final score.")
    retrieval_rank: int | None = Field(description="Rank among the retrieved items.")
    retrieval_score: float | None = Field(description="Score of the retriever.")
    predictions: dict[str, float] = Field(description="Prediction by task.")
    ranked_rank: int | None = Field(description="Rank after the ranker.")
    blended_rank: int | None = Field(description="Rank after the blend.")
    type: str | None = Field(description="Content type of the item.")
    sources: dict[str, SourceHit] | None = Field(
        default=None, description="Sources that found the candidate; None without sources."
    )


class Stages(Response):
    """All candidates in their final order, and the time of each stage."""

    retrieved: int = Field(description="Number of retrieved items.")
    ranked: int = Field(description="Number of ranked items.")
    candidates: list[Candidate] = Field(description="Candidates in their final order.")
    milliseconds: dict[str, float] = Field(description="Time by stage.")


class Explained(Response):
    """Effect of rules on a list."""

    rules: dict[str, Any] = Field(description="Rules that were applied.")
    removed: dict[str, int] = Field(
        description="Number of candidates by rule; of filters of retrieval, number of items."
    )


class ListResponse(Response):
    """A list of items, best first."""

    request_id: str = Field(description="Id of the request, to which events refer.")
    version: str = Field(description="Version of the bundle.")
    fallback: str | None = Field(
        default=None, description="Source that replaced the retrieved items, such as popular."
    )
    logged: bool = Field(default=False, description="Whether the list is in the event log.")
    notices: list[str] = Field(default=[], description="Remarks, such as an unknown user.")
    items: list[ListItem] = Field(description="Items, best first.")
    stages: Stages | None = Field(default=None, description="All candidates, with `stages`.")
    explain: Explained | None = Field(default=None, description="Effect of rules, with `explain`.")
    counted_until: datetime | None = Field(
        default=None, description="Instant before which events were counted, with `explain`."
    )
    unknown: list[int | str] = Field(default=[], description="Given ids of unknown items.")
    experiment: str | None = Field(
        default=None, description="Experiment that the request is part of."
    )
    arm: str | None = Field(default=None, description="Arm of the experiment.")


class ItemsResponse(Response):
    """Items that were written."""

    sequence: int = Field(description="Number of the last change; it only grows.")
    items: int = Field(description="Number of items.")


class EventsResponse(Response):
    """Events that were received."""

    stored: int = Field(description="Number of events that were stored.")
    known: int = Field(description="Number of events whose `event_id` was stored before.")


class VectorsResponse(Response):
    """Vectors that were written."""

    sequence: int = Field(description="Number of the last change; it only grows.")
    vectors: int = Field(description="Number of vectors.")
    unknown: int = Field(description="Number of vectors without an item, which were left out.")


class UsersResponse(Response):
    """Users that were written."""

    sequence: int = Field(description="Number of the last change; it only grows.")
    users: int = Field(description="Number of users.")


class HistoryItem(Response):
    """An item of a history; without a type and a time it is of a training row."""

    item_id: int | str = Field(description="Id of the item.")
    type: str | None = Field(description="Type of the event.")
    time: datetime | None = Field(description="Time of the event.")


class UserResponse(Response):
    """Attributes and history of a user."""

    user: int | str = Field(description="Id of the user.")
    trained: bool = Field(description="Whether the training rows have the user.")
    attributes: dict[str, Any] = Field(description="Stored columns of the query.")
    ignored_attributes: list[str] = Field(description="Those that this bundle cannot read.")
    history: list[HistoryItem] = Field(description="Oldest first, at most the newest 1,000.")
    future: list[HistoryItem] = Field(description="Events that wait for their time.")
    unknown_items: list[HistoryItem] = Field(description="Events that wait for their item.")


class ErasedResponse(Response):
    """Number of erased users and events."""

    users: int = Field(description="Number of users that had attributes.")
    events: int = Field(description="Number of events.")


class SwapResponse(Response):
    """The bundle that is served now."""

    version: str = Field(description="Version of the bundle.")
    previous: str = Field(description="Version of the bundle before.")


class Health(Response):
    """Liveness or readiness of the server."""

    status: str = Field(description="ok or ready.")
    version: str | None = Field(default=None, description="Version of the bundle.")
    state_behind: float | None = Field(
        default=None, description="Seconds for which writes of other servers may have been missed."
    )
