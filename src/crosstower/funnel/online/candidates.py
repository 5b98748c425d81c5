"""Candidates of requests: the nearest items, or popular ones where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import CrosstowerError
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.request import Ranked, RequestState, each, fail
from crosstower.values.arrays import Indices


def retrieve(states: Sequence[RequestState], catalogue: OnlineCatalogue) -> None:
    """Find the candidates of requests; one that fails does not stop the others.

    Requests of the same size and condition are searched at once. Popular items replace the
    retrieved ones of a request without a vector.

    Args:
        states: of the requests.
        catalogue: of the items.

    """
    groups: dict[tuple[int, str | None], list[RequestState]] = {}
    for state in states:
        if state.vector is not None and state.error is None:
            groups.setdefault((state.size, state.where), []).append(state)
    for alike in groups.values():
        _search(alike, catalogue)
    popular = [state for state in states if state.vector is None]
    each(popular, lambda state: _take_popular(state, catalogue))


def candidates_of(places: Indices, scores: NDArray[np.float32]) -> Ranked:
    """Return candidates in the order of retrieval."""
    score = scores.astype(np.float64)
    return Ranked(
        places=places,
        score=score,
        retrieval_rank=np.arange(1, len(places) + 1),
        retrieval_score=score,
        retrieved=len(places),
    )


def _search(alike: Sequence[RequestState], catalogue: OnlineCatalogue) -> None:
    first, vectors = alike[0], [state.vector for state in alike if state.vector is not None]
    excluded = [state.excluded for state in alike]
    try:
        found = catalogue.items.nearest_each(
            np.concatenate(vectors), first.size, where=first.where, excluded=excluded
        )
    except CrosstowerError as error:
        fail(alike, error)
        return
    for state, one in zip(alike, found, strict=True):
        state.found = candidates_of(*one)


def _take_popular(state: RequestState, catalogue: OnlineCatalogue) -> None:
    found = catalogue.popular.best(
        state.size, where=state.where, excluded=state.excluded, segment=state.segment
    )
    fallback = "popular" if state.segment is None else "popular_segment"
    state.found = replace(candidates_of(*found), fallback=fallback)
