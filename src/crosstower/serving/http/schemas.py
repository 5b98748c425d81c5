"""The JSON bodies of requests and responses, from which the OpenAPI document is generated."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
)

from crosstower.blending.exploration.explore import Exploration
from crosstower.funnel.online.blends import Override
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.blend import Transform
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.rules import RequestRules
from crosstower.retrieval.history_ages import ages_of, now_in_seconds
from crosstower.serving.state.events import Event, KnownTime, Properties
from crosstower.serving.state.events import Id as PlainId
from crosstower.serving.state.json_text import plain_json, whole_json

MOST_ITEMS = 10_000
TRANSFORMS = get_args(Transform)


Id = Annotated[
    PlainId,
    BeforeValidator(whole_json),
    AfterValidator(plain_json),
]
Count = Annotated[int, Field(ge=1, strict=True)]
Condition = Annotated[
    str | None,
    Field(
        default=None,
        max_length=2_000,
        description="Condition on the attributes of items: city == 'Paris' and price < 120",
    ),
]


class BlendOverride(FrozenModel):
    """A blend for one request; omitted parts keep the bundle's values."""

    weights: dict[str, FiniteFloat] | None = Field(default=None, min_length=1, max_length=64)
    transform: Transform | dict[str, Transform] | None = None
    by: str | None = Field(default=None, description="Content type column; null for one map.")

    def override(self) -> Override:
        """Return the request of the online funnel."""
        given = "by" in self.model_fields_set
        return Override(self.weights, self.transform, (self.by or "") if given else None)


class _ListRequest(FrozenModel):
    user: Id | None = Field(default=None, description="Id of the user.")
    query: Properties = Field(default={}, description="Columns of the query.")
    history: tuple[Id, ...] | None = Field(
        default=None,
        max_length=MOST_ITEMS,
        description="Ids of items, oldest first, in place of the user's history.",
    )
    history_times: tuple[KnownTime, ...] | None = Field(
        default=None,
        max_length=MOST_ITEMS,
        description="Times of the items of history, which models with times read: one per item,"
        " oldest first (default: all as of now).",
    )
    blend: BlendOverride | None = None
    stages: bool = Field(default=False, description="Also return all candidates by stage.")
    rules: RequestRules | None = Field(default=None, description="Rules for this request.")
    explain: bool = Field(
        default=False, description="Also return what each rule moved, and counts of events."
    )

    def _funnel_request(self, **more: Any) -> FunnelRequest:
        return FunnelRequest(
            user=self.user,
            query=self.query,
            history=self.history,
            history_ages=ages_of(self.history_times, self.history, now_in_seconds()),
            blend=self.blend.override() if self.blend is not None else None,
            rules=self.rules,
            explain=self.explain,
            **more,
        )


class RecommendRequest(_ListRequest):
    """A request for a list of items."""

    k: Count = 10
    where: Condition = None
    exclude: tuple[Id, ...] = Field(
        default=(), max_length=MOST_ITEMS, description="Ids of items to leave out."
    )
    candidates: Count | None = Field(default=None, description="Number of items to rank.")
    explore: Exploration | None = Field(
        default=None,
        description="Draws the order of the best candidates; null turns the bundle's exploration"
        " off (default: that of the bundle).",
    )
    log: bool | None = Field(
        default=None,
        strict=True,
        description="Store the shown items as impressions before the response is sent (default:"
        " the server's setting).",
    )

    def funnel_request(self, explore: Exploration | None = None) -> FunnelRequest:
        """Return the request of the online funnel; `explore` is the bundle's."""
        return self._funnel_request(
            k=self.k,
            where=self.where,
            exclude=self.exclude,
            candidates=self.candidates,
            explore=self.explore if "explore" in self.model_fields_set else explore,
        )


class RankRequest(_ListRequest):
    """A request to order given candidates: ids of items, or whole rows."""

    items: tuple[Id, ...] | None = Field(default=None, min_length=1, max_length=MOST_ITEMS)
    rows: tuple[Properties, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_ITEMS,
        description="Candidates with all columns; the query's columns apply to every row.",
    )
    k: Count | None = Field(default=None, description="Number of items; all by default.")

    def funnel_request(self) -> FunnelRequest:
        """Return the request of the online funnel."""
        return self._funnel_request(k=self.k or len(self.items or self.rows or "1"))


class SearchRequest(FrozenModel):
    """A request for the items nearest to a text."""

    text: str = Field(min_length=1, max_length=2_000)
    k: Count = 10
    where: Condition = None
    query: Properties = Field(default={}, description="Further columns of the query.")


class SimilarRequest(FrozenModel):
    """A request for the items most similar to one."""

    item: Id
    k: Count = 10
    where: Condition = None


class ItemsRequest(FrozenModel):
    """New or changed items, whole rows."""

    items: tuple[Properties, ...] = Field(min_length=1)


class EventsRequest(FrozenModel):
    """Impressions and feedback."""

    events: tuple[Event, ...] = Field(min_length=1)


class SwapRequest(FrozenModel):
    """Another bundle to serve."""

    path: str = Field(min_length=1, max_length=4_096, description="Folder on the server.")


class _Response(FrozenModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class SourceHit(_Response):
    """Rank and score of a candidate in a source that found it."""

    rank: int
    score: float


class ListItem(_Response):
    """An item of a response; stages that the bundle lacks are null."""

    rank: int
    item_id: int | str
    score: float
    retrieval_rank: int | None = None
    retrieval_score: float | None = None
    predictions: dict[str, float] = Field(default={})
    blend_score: float | None = None
    propensity: float | None = Field(
        default=None, description="Probability of the item at its drawn rank, with exploration."
    )
    conditional_propensity: float | None = Field(
        default=None, description="The same given the items drawn above; null for thompson."
    )
    drawn_rank: int | None = Field(default=None, description="Rank in the draw, before rules.")
    attributes: dict[str, Any] = Field(default={})
    team: str | None = Field(
        default=None, description="Arm whose ranking picked the item of an interleaved list."
    )
    moves: dict[str, int] = Field(default={}, description="Places up by rule, with `explain`.")
    sources: dict[str, SourceHit] | None = Field(
        default=None, description="Sources that found the item; null without sources."
    )
    counts: dict[str, list[int]] | None = Field(
        default=None,
        description="Events that the ranker has counted by column, with `explain`; of a ratio also"
        " those that it divides by.",
    )


class Candidate(_Response):
    """A candidate with its rank after each stage."""

    item_id: int | str
    rank: int
    score: float
    retrieval_rank: int | None
    retrieval_score: float | None
    predictions: dict[str, float]
    ranked_rank: int | None
    blended_rank: int | None
    type: str | None
    sources: dict[str, SourceHit] | None = Field(
        default=None, description="Sources that found the candidate; null without sources."
    )


class Stages(_Response):
    """All candidates in their final order, and the time that each stage took."""

    retrieved: int
    ranked: int
    candidates: list[Candidate]
    milliseconds: dict[str, float]


class Explained(_Response):
    """Effect of rules: those applied, and the candidates that each removed."""

    rules: dict[str, Any]
    removed: dict[str, int] = Field(
        description="Number of candidates by rule; of filters of retrieval, number of items."
    )


class ListResponse(_Response):
    """A list of items, best first."""

    request_id: str
    version: str
    fallback: str | None = None
    logged: bool = Field(default=False, description="Whether the list is in the event log.")
    notices: list[str] = Field(default=[], description="Remarks, such as an unknown user.")
    items: list[ListItem]
    stages: Stages | None = None
    explain: Explained | None = None
    counted_until: datetime | None = Field(
        default=None, description="Instant before which events were counted, with `explain`."
    )
    unknown: list[int | str] = Field(default=[], description="Given ids of unknown items.")
    experiment: str | None = Field(
        default=None, description="Experiment that the request is part of."
    )
    arm: str | None = Field(default=None, description="Arm of the experiment.")


class ItemsResponse(_Response):
    """Items that were written."""

    sequence: int = Field(description="Number of the last change; it only grows.")
    items: int


class EventsResponse(_Response):
    """Number of events that were stored, and of those already known."""

    stored: int
    known: int


class SwapResponse(_Response):
    """The bundle that is served now."""

    version: str
    previous: str


class Health(_Response):
    """Liveness or readiness of the server."""

    status: str
    version: str | None = None
    state_behind: float | None = Field(
        default=None, description="Seconds for which writes of other servers may have been missed."
    )
