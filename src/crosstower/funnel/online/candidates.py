"""Candidates of requests: of one or several sources, or popular ones where nothing is known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import CrosstowerError
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.request import Ranked, RequestState, each, fail
from crosstower.funnel.retrieved_columns import (
    SCORE,
    SOURCES,
    score_column,
    source_column,
)
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.merge import Merged, ranks_at
from crosstower.values.arrays import Indices


def retrieve(states: Sequence[RequestState], catalogue: OnlineCatalogue) -> None:
    """Find the candidates of requests; one that fails does not stop the others.

    Requests of the same size and condition are searched at once, then each is merged with the
    other sources. Popular items are the candidates of a request for which nothing is found.

    Args:
        states: of the requests.
        catalogue: of the items.

    """
    groups: dict[tuple[int, str | None], list[RequestState]] = {}
    for state in states:
        sources = catalogue.sources
        size = state.size if sources is None else sources.model_quota(state.size)
        if state.vector is not None and state.error is None and size:
            groups.setdefault((size, state.where), []).append(state)
    for (size, _), alike in groups.items():
        _search(alike, catalogue, size)
    each(states, lambda state: _take_found(state, catalogue))
    for state in states:
        state.retrieved = state.found


def candidates_of(places: Indices, scores: NDArray[np.float32] | NDArray[np.float64]) -> Ranked:
    """Return candidates in the order of retrieval."""
    score = scores.astype(np.float64)
    return Ranked(
        places=places,
        score=score,
        retrieval_rank=np.arange(1, len(places) + 1),
        retrieval_score=score,
        retrieved=len(places),
    )


def columns_of(
    wanted: Collection[str], state: RequestState, catalogue: OnlineCatalogue
) -> tuple[pl.Series, ...]:
    """Return the wanted columns of retrieval `[C]` of the candidates of a request.

    Args:
        wanted: of `RETRIEVED`.
        state: of the request, after `retrieve`.
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


def _search(alike: Sequence[RequestState], catalogue: OnlineCatalogue, size: int) -> None:
    vectors = [state.vector for state in alike if state.vector is not None]
    excluded = [state.excluded for state in alike]
    try:
        found = catalogue.items.nearest_each(
            np.concatenate(vectors), size, where=alike[0].where, excluded=excluded
        )
    except CrosstowerError as error:
        fail(alike, error)
        return
    for state, (places, scores) in zip(alike, found, strict=True):
        state.nearest = places, scores.astype(np.float64)


def _take_found(state: RequestState, catalogue: OnlineCatalogue) -> None:
    found = _of_sources(state, catalogue)
    if found is not None and len(found.places):
        state.found = replace(candidates_of(found.places, found.scores), sources=found.sources)
    elif found is None and state.vector is not None:
        state.found = candidates_of(*state.nearest)
    else:
        _take_popular(state, catalogue)


def _of_sources(state: RequestState, catalogue: OnlineCatalogue) -> Merged | None:
    """Return the candidates of all sources for a request, None without sources."""
    if catalogue.sources is None:
        return None
    return catalogue.sources.found(
        SourceQuery(state.user.history, state.segment),
        state.nearest,
        catalogue.items,
        state.size,
        where=state.where,
        excluded=state.excluded,
    )


def _take_popular(state: RequestState, catalogue: OnlineCatalogue) -> None:
    found = catalogue.popular.best(
        state.size, where=state.where, excluded=state.excluded, segment=state.segment
    )
    fallback = "popular" if state.segment is None else "popular_segment"
    state.found = replace(candidates_of(*found), fallback=fallback)
