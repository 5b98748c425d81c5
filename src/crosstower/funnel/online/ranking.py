"""The stages after retrieval, for a batch of requests: rank, blend, diversify, order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.diversity import rerank
from crosstower.data.content_types import ContentTypes
from crosstower.errors import CrosstowerError, DataError, QueryError
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.explorer import DrawOrder, Explorer
from crosstower.funnel.online.ranker import OnlineRanker, RankerItems
from crosstower.funnel.online.request import (
    Ranked,
    RequestState,
    each,
    fail,
    milliseconds_since,
)
from crosstower.ranking.scorer import RawArrays, Scores
from crosstower.recipe.blend import Diversity
from crosstower.values.arrays import Indices

Floats = NDArray[np.float64]


class Ranking:
    """The stages after retrieval.

    Args:
        ranker: scores candidates, and has the blends of requests.
        catalogue: has the candidates encoded.
        explorer: draws the order of requests with exploration.

    """

    def __init__(
        self, ranker: OnlineRanker, catalogue: OnlineCatalogue, explorer: Explorer
    ) -> None:
        self._ranker, self._catalogue = ranker, catalogue
        self._tasks, self._explorer = ranker.tasks, explorer

    def rank(self, states: Sequence[RequestState]) -> None:
        """Put the candidates of requests into their final order."""
        start = time.perf_counter()
        each(states, self._score)
        alike: dict[int, list[RequestState]] = {}
        for state in states:
            if state.error is None:
                alike.setdefault(id(state.blend), []).append(state)
        for group in alike.values():
            self._combine(group)
        spent, start = milliseconds_since(start), time.perf_counter()
        each(states, self._order)
        blend = milliseconds_since(start)
        for state in states:
            state.milliseconds |= {"rank": spent, "blend": blend}

    def _score(self, state: RequestState) -> None:
        """Compute the logits of a request's candidates."""
        blends, override = self._ranker.blends, state.request.blend
        state.blend = blends.own if override is None else blends.of(override)
        query = self._ranker.query(state.raw)
        state.found = replace(state.found, unseen=query.unseen)
        rows = self._readable(state, self._catalogue.take(state.found.places))
        try:
            state.logits = self._ranker.logits(query, rows)
        except QueryError:
            rows = self._readable(state, self._ranker.readable(query, rows))
            if not len(rows):
                raise
            state.logits = self._ranker.logits(query, rows)
        state.arrays = self._ranker.arrays(query, rows)

    @staticmethod
    def _readable(state: RequestState, rows: RankerItems) -> RankerItems:
        """Leave out the candidates of a request that the ranker cannot read."""
        if rows.good.all():
            return rows
        kept, places = np.flatnonzero(rows.good), state.found.places
        unread = np.concatenate([state.found.unread, places[~rows.good]])
        state.found = replace(chosen(state.found, kept), unread=unread)
        return rows.take(kept)

    def _combine(self, group: Sequence[RequestState]) -> None:
        """Calibrate and blend the predictions of requests with the same blend."""
        scorer = replace(self._ranker.scorer, blend=group[0].blend)
        logits = {
            task: np.concatenate([state.logits[task] for state in group])
            for task in group[0].logits
        }
        try:
            arrays = RawArrays.concatenate([state.arrays for state in group], scorer.types)
            scores = scorer.combine(logits, arrays)
        except CrosstowerError as error:
            if len(group) == 1:
                fail(group, error)
            else:  # one request at a time, to find the one that fails
                for state in group:
                    self._combine([state])
            return
        ends = np.cumsum([len(state.found.places) for state in group]).tolist()
        for state, start, end in zip(group, [0, *ends], ends, strict=False):
            state.scores = scores.part(slice(start, end))

    def _order(self, state: RequestState) -> None:
        if state.scores is not None:
            types, blends = state.arrays.types, self._ranker.blends
            draw = self._explorer.of(state.request)
            state.found = ordered(state.found, state.scores, types, self._tasks, blends, draw=draw)


def ordered(
    found: Ranked,
    scores: Scores,
    types: Mapping[str, ContentTypes],
    tasks: Sequence[str],
    blends: Blends,
    *,
    draw: DrawOrder | None = None,
) -> Ranked:
    """Return candidates with all scores, best first or as drawn.

    Args:
        found: candidates as they came.
        scores: of the same candidates.
        types: of the same candidates, by column.
        tasks: the first one orders if there is no blend.
        blends: their own blend's diversity re-orders the first places.
        draw: draws the order before diversity; None keeps that of the scores.

    Raises:
        DataError: a score is not finite.

    """
    predicted, blended = scores.predictions[tasks[0]], scores.blend
    ranked = last = ranks_of(predicted)
    after_blend, merit = None, predicted
    if blended is not None:
        last, merit = ranks_of(blended), blended
        after_blend = last
    found = replace(found, score=merit)
    if draw is not None:
        found, last = draw(found, last)
        merit = -np.sort(-merit)[last - 1]  # diversity acts on the drawn order
    own = blends.own.spec.diversity if blends.own is not None else None
    if blended is not None and own is not None:
        last = _diversified(own, merit, types)
    at, shown = np.argsort(last), types.get(blends.types or "")
    return replace(
        chosen(found, at),
        predictions={task: scores.predictions[task][at] for task in tasks},
        blend_score=None if blended is None else blended[at],
        ranked=ranked[at],
        blended=None if after_blend is None else after_blend[at],
        types=None if shown is None else shown[at],
    )


def ranks_of(score: Floats) -> Indices:
    """Return the rank of each candidate `[B]`, 1 being the highest score; ties keep their order.

    It is what `order_within` gives for one group, in fewer calls.

    Raises:
        DataError: a score is not finite.

    """
    if not np.isfinite(score).all():
        raise DataError(f"an order needs finite scores, got {score[~np.isfinite(score)][0]}")
    ranks = np.empty(len(score), dtype=np.int64)
    ranks[np.argsort(-score, kind="stable")] = np.arange(1, len(score) + 1)
    return ranks


def _diversified(own: Diversity, score: Floats, types: Mapping[str, ContentTypes]) -> Indices:
    frame = pl.DataFrame({n: pl.Series(types[n].text(), dtype=pl.String) for n in own.columns()})
    return rerank(own, np.zeros(len(score), np.int64), score, frame)[0]


def chosen(found: Ranked, at: Indices) -> Ranked:
    """Return the candidates at `at`, in that order."""
    rank, score, draw = found.retrieval_rank, found.retrieval_score, found.draw
    return replace(
        found,
        draw=None if draw is None else replace(draw, ranks=draw.ranks[at]),
        places=found.places[at],
        score=found.score[at],
        retrieval_rank=None if rank is None else rank[at],
        retrieval_score=None if score is None else score[at],
    )
