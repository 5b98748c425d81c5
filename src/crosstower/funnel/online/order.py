"""The final order of candidates: by blend or prediction, then diversified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from crosstower.blending.diversity import rerank
from crosstower.data.content_types import ContentTypes
from crosstower.errors import DataError
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.explorer import DrawOrder
from crosstower.funnel.online.request import Ranked
from crosstower.ranking.scorer import Scores
from crosstower.recipe.blend import Diversity
from crosstower.values.arrays import Floats, Indices


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
        found.take(at),
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
