"""Put scored candidates into their final order, and keep their ranks after each stage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.funnel.stages import BLENDED, RANKED, stage_ranks
from crosstower.live.answer import Ranked, milliseconds_since
from crosstower.live.blends import Blends
from crosstower.scores import BLEND_SCORE, PREDICTION


def ordered(
    found: Ranked, scored: pl.DataFrame, tasks: Sequence[str], blends: Blends, *, begin: float
) -> Ranked:
    """Return candidates with all scores, best first.

    Args:
        found: candidates as they came.
        scored: a row a candidate, in the same order, with predictions, the blend's score if there
            is a blend, and the raw columns that diversity and types need.
        tasks: the first one orders where there is no blend.
        blends: whose diversity re-orders the first places.
        begin: when the request began, on the clock of time.perf_counter.

    """
    start = time.perf_counter()
    blended = BLEND_SCORE in scored.columns
    diversity = blends.own.spec.diversity if blended and blends.own is not None else None
    groups = np.zeros(scored.height, np.int64)
    ranks = stage_ranks(scored, groups, task=tasks[0], diversity=diversity)
    at = np.argsort(list(ranks.values())[-1], kind="stable")
    score = scored[BLEND_SCORE if blended else f"{tasks[0]}{PREDICTION}"].to_numpy()
    spent = {"blend": milliseconds_since(start), "total": milliseconds_since(begin)}
    return replace(
        chosen(replace(found, score=score), at),
        predictions={t: scored[f"{t}{PREDICTION}"].to_numpy()[at] for t in tasks},
        blend_score=score[at] if blended else None,
        ranked=ranks[RANKED][at],
        blended=ranks[BLENDED][at] if blended else None,
        types=_types(scored, blends.types, at),
        milliseconds={**found.milliseconds, **spent},
    )


def chosen(found: Ranked, at: NDArray[np.int64]) -> Ranked:
    """Return the candidates at `at`, in that order."""
    rank, score = found.retrieval_rank, found.retrieval_score
    return replace(
        found,
        places=found.places[at],
        score=found.score[at],
        retrieval_rank=None if rank is None else rank[at],
        retrieval_score=None if score is None else score[at],
    )


def _types(
    scored: pl.DataFrame, by: str | None, at: NDArray[np.int64]
) -> tuple[str | None, ...] | None:
    if by is None or by not in scored.columns:
        return None
    return tuple(scored[by].cast(pl.String)[at].to_list())
