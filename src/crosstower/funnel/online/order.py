"""Put scored candidates into their final order, and keep their ranks after each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.blending.diversity import rerank
from crosstower.data.content_types import ContentTypes
from crosstower.errors import DataError
from crosstower.funnel.online.answer import Ranked
from crosstower.funnel.online.blends import Blends
from crosstower.ranking.scorer import Scores
from crosstower.recipe.blend import Diversity
from crosstower.values.arrays import Indices

Floats = NDArray[np.float64]


def ordered(
    found: Ranked,
    scores: Scores,
    types: Mapping[str, ContentTypes],
    tasks: Sequence[str],
    blends: Blends,
) -> Ranked:
    """Return candidates with all scores, best first.

    Args:
        found: candidates as they came.
        scores: of the same candidates.
        types: of the same candidates, by column.
        tasks: the first one orders where there is no blend.
        blends: whose diversity re-orders the first places.

    Raises:
        DataError: a score is not finite.

    """
    predicted, blended = scores.predictions[tasks[0]], scores.blend
    ranked = last = ranks_of(predicted)
    after_blend = None
    if blended is not None:
        last = after_blend = ranks_of(blended)
        own = blends.own.spec.diversity if blends.own is not None else None
        if own is not None:
            last = _diversified(own, blended, types)
    at, shown = np.argsort(last), types.get(blends.types or "")
    return replace(
        chosen(replace(found, score=predicted if blended is None else blended), at),
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
    rank, score = found.retrieval_rank, found.retrieval_score
    return replace(
        found,
        places=found.places[at],
        score=found.score[at],
        retrieval_rank=None if rank is None else rank[at],
        retrieval_score=None if score is None else score[at],
    )
