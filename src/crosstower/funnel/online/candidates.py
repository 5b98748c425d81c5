"""Candidates of retrieval as the ranker gets them: in order, with the columns that it reads."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.request import Ranked, RequestState
from crosstower.funnel.retrieved_columns import (
    SCORE,
    SOURCES,
    score_column,
    source_column,
)
from crosstower.retrieval.online.request import Candidates
from crosstower.retrieval.sources.merge import ranks_at


def candidates_of(found: Candidates) -> Ranked:
    """Return candidates in the order of retrieval."""
    return Ranked(
        places=found.places,
        score=found.scores,
        retrieval_rank=np.arange(1, len(found.places) + 1),
        retrieval_score=found.scores,
        retrieved=len(found.places),
        fallback=found.fallback,
        sources=found.sources,
    )


def columns_of(
    wanted: Collection[str], state: RequestState, catalogue: OnlineCatalogue
) -> tuple[pl.Series, ...]:
    """Return the wanted columns of retrieval `[C]` of the candidates of a request.

    Args:
        wanted: of `RETRIEVED`.
        state: of the request, after retrieval.
        catalogue: of the items.

    """
    found, places, columns = state.retrieved, state.found.places, list[pl.Series]()
    if SCORE in wanted:
        vectors = catalogue.items.vectors(places)
        query = np.zeros((1, vectors.shape[1])) if state.vector is None else state.vector
        known = np.full(len(places), state.vector is not None)
        columns.append(score_column(query.astype(np.float32), vectors, known))
    if SOURCES in wanted and catalogue.sources is not None:
        quotas = catalogue.sources.quotas
        ranks = np.zeros((len(places), len(quotas)), np.int64)
        if found.sources is not None:
            ranks = ranks_at(found.places, found.sources.ranks, places)
        columns.append(source_column(ranks, quotas))
    return tuple(columns)
