"""Requests to the online funnel, their state in it, and its result. Shape: C candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.blender import FittedBlend
from crosstower.blending.exploration.explore import Drawn, Exploration
from crosstower.blending.rules.pacing import Charge
from crosstower.data.content_types import ContentTypes
from crosstower.errors import CrosstowerError
from crosstower.funnel.online.blends import Override
from crosstower.funnel.online.counters import Counted
from crosstower.ranking.scorer import RawArrays, Scores
from crosstower.recipe.rules import Rules
from crosstower.retrieval.online.request import RetrievalRequest, RetrievalState
from crosstower.retrieval.queries import NO_ITEMS
from crosstower.retrieval.sources.merge import SourceRanks
from crosstower.retrieval.unknown_user import COUNTED, POPULAR
from crosstower.values.arrays import Floats, Indices


@dataclass(frozen=True)
class FunnelRequest(RetrievalRequest):
    """A request for a ranked list: one for candidates, and how to order them.

    Args:
        user: an id; None for an anonymous request.
        query: data columns of the query.
        k: number of items.
        where: a condition on the attributes of items.
        history: ids of items, oldest first, in place of the user's own history; None keeps it.
        history_ages: of these, in seconds before the request; all 0 if None.
        exclude: ids of items to leave out; unknown ones are ignored.
        candidates: number of items to rank; the funnel's own number if None.
        blend: a blend for only this request.
        explore: draws the order of the best candidates; None keeps the order of the scores.
        rules: rules for this request, which add to those of the bundle.
        explain: return what each rule has moved; such a request is a preview.

    """

    candidates: int | None = None
    blend: Override | None = None
    explore: Exploration | None = None
    rules: Rules | None = None
    explain: bool = False


@dataclass(frozen=True)
class Draw:
    """The exploration of a list.

    `drawn` is the draw, `pool` are the places of the candidates that took part, best first, and
    `ranks` `[C]` the drawn ranks of the candidates in their final order, from 1.
    """

    drawn: Drawn
    pool: Indices
    ranks: Indices


@dataclass(frozen=True)
class Explanation:
    """Effects of the rules of a request.

    Args:
        rules: in effect, those of the bundle and of the request.
        moves: by rule, the number of places by which it moved each candidate up `[C]`.
        removed: by rule, the number of candidates that it left out; by filter that retrieval
            applied, the number of items.

    """

    rules: Rules
    moves: Mapping[str, Indices]
    removed: Mapping[str, int]


@dataclass(frozen=True)
class Ranked:
    """Candidates in their final order.

    `places` `[C]` in the catalogue; `retrieval_rank` and `retrieval_score` `[C]`, None for
    candidates that the request gave; `predictions` {task: `[C]`}, empty without a ranker;
    `blend_score` `[C]` if there is a blend; `ranked`, `blended` `[C]` are the ranks after those
    stages, from 1; `types` are the content types. `seconds` per stage count all requests of the
    batch. `unseen` tells for each query column whether its value was never seen in training.
    `fallback` names the source of the candidates if nothing could be retrieved for the request.
    `unknown` are ids of the request that are not items, `notices` are for the caller, `unread`
    are places of candidates that the ranker cannot read. If the request gave whole rows
    (`rows_given`), places are their numbers. `draw` is the exploration of the list, if it has one.
    `retrieval_rank` is 0 for candidates that rules have added. `explanation` and `counted`, the
    counts of events that the ranker has read, are set if the request wants an explanation.
    `charges` are the places that were charged to the budget of a campaign. `began` is the time of
    `time.perf_counter` at which the first stage began. `sources` tells which sources found each
    candidate; None without sources, where the retrieval model found all.
    """

    places: Indices
    score: Floats
    retrieval_rank: Indices | None = None
    retrieval_score: Floats | None = None
    predictions: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    blend_score: Floats | None = None
    ranked: Indices | None = None
    blended: Indices | None = None
    types: ContentTypes | None = None
    retrieved: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    unseen: Mapping[str, bool] = field(default_factory=dict[str, bool])
    fallback: str | None = None
    unknown: tuple[str | int, ...] = ()
    unread: Indices = field(default_factory=lambda: NO_ITEMS)
    notices: tuple[str, ...] = ()
    rows_given: bool = False
    draw: Draw | None = None
    explanation: Explanation | None = None
    charges: tuple[tuple[int, Charge], ...] = ()
    counted: Counted | None = None
    began: float = 0.0
    sources: SourceRanks | None = None

    def take(self, at: Indices) -> Ranked:
        """Return the candidates at `at`, in that order."""
        part = {
            name: None if value is None else value[at]
            for name in ("retrieval_rank", "retrieval_score", "blend_score", "ranked", "blended")
            for value in (getattr(self, name),)
        }
        draw = None if self.draw is None else replace(self.draw, ranks=self.draw.ranks[at])
        return replace(
            self,
            draw=draw,
            counted=None if self.counted is None else self.counted.take(at),
            sources=None if self.sources is None else self.sources.take(at),
            places=self.places[at],
            score=self.score[at],
            predictions={task: values[at] for task, values in self.predictions.items()},
            types=None if self.types is None else self.types[at],
            **part,
        )


@dataclass
class RequestState(RetrievalState[FunnelRequest]):
    """A request on its way through the stages; with an `error` no stage looks at it again.

    `rules` are those of the bundle and the request, and `where` is its condition with theirs.
    `found` are the candidates that the ranker can read, `columns` `[C]` those of retrieval that it
    reads; they get `logits` `[C]` by task, then `scores`.
    """

    rules: Rules | None = None
    found: Ranked = field(default_factory=lambda: Ranked(NO_ITEMS, np.empty(0)))
    columns: tuple[pl.Series, ...] = ()
    blend: FittedBlend | None = None
    logits: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    arrays: RawArrays = field(default_factory=lambda: RawArrays({}, {}))
    scores: Scores | None = None
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    began: float = 0.0

    def result(self) -> Ranked | CrosstowerError:
        """Return the candidates, or the error."""
        if self.error is not None:
            return self.error
        popular = POPULAR if self.found.predictions else COUNTED
        if self.found.fallback is None or not len(self.found.places):
            popular = None
        notices = (*self.user.notices(self.request.user, popular), *self.found.notices)
        return replace(self.found, seconds=self.seconds, began=self.began, notices=notices)
