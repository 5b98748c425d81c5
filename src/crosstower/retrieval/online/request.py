"""Requests for the candidates of a list, and their state in retrieval. Shape: C candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from crosstower.data.encoders.row_encoder import EncodedRow
from crosstower.errors import CrosstowerError, QueryError
from crosstower.retrieval.online.users import NOBODY, RequestUser
from crosstower.retrieval.queries import NO_ITEMS
from crosstower.retrieval.sources.candidate_source import Part
from crosstower.retrieval.sources.merge import SourceRanks
from crosstower.retrieval.sources.quotas import NOTHING
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id, given_id


@dataclass(frozen=True)
class RetrievalRequest:
    """A request for candidates.

    Args:
        user: an id; None for an anonymous request.
        query: data columns of the query.
        k: number of items.
        where: a condition on the attributes of items.
        history: ids of items, oldest first, in place of the user's own history; None keeps it.
        history_ages: of these, in seconds before the request; all 0 if None.
        exclude: ids of items to leave out; unknown ones are ignored.

    """

    user: str | int | None = None
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    k: int = 10
    where: str | None = None
    history: tuple[str | int, ...] | None = None
    history_ages: tuple[int, ...] | None = None
    exclude: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """Places `[C]` in the catalogue, best first, and their scores `[C]`.

    `sources` tells which sources found each candidate; None without sources. `fallback` names the
    source of the candidates if nothing could be retrieved.
    """

    places: Indices
    scores: NDArray[np.float64]
    sources: SourceRanks | None = None
    fallback: str | None = None


NO_CANDIDATES = Candidates(NO_ITEMS, np.empty(0))

Request = TypeVar("Request", bound=RetrievalRequest)


@dataclass
class RetrievalState(Generic[Request]):
    """A request on its way through retrieval; with an `error` no step looks at it again.

    `user` has what is known of its user, `segment` is that of the query if it has training rows.
    `where` is the condition, `size` the number of candidates, and `excluded` are places to leave
    out. `row` is the query as the query tower reads it (None where popular items stand in for the
    retrieved ones), `vector` `[1, D]` the encoded query, and `nearest` are the items nearest to it.
    """

    request: Request
    user: RequestUser = NOBODY
    where: str | None = None
    size: int = 0
    segment: Id | None = None
    row: EncodedRow | None = None
    vector: NDArray[np.float32] | None = None
    nearest: Part = NOTHING
    excluded: Indices = field(default_factory=lambda: NO_ITEMS)
    retrieved: Candidates = NO_CANDIDATES
    error: CrosstowerError | None = None


AnyState = RetrievalState[Any]

State = TypeVar("State", bound=AnyState)


def history_of(history: Sequence[str | int] | None) -> tuple[Id, ...] | None:
    """Return the canonical ids of a given history; None without one.

    >>> history_of(["f01", 7])
    ('f01', 7)

    Raises:
        QueryError: it is not a list of ids.

    """
    if history is None:
        return None
    if isinstance(history, str) or not hasattr(history, "__len__"):
        raise QueryError(f"history: expected a list of item ids, got {history!r:.60}")
    return tuple(given_id("history", item) for item in history)


def each(states: Sequence[State], *steps: Callable[[State], None]) -> None:
    """Take requests through some steps; one that fails does not stop the others.

    All of them take one step before the next: the code and tables of a step stay in the CPU's
    caches, which the search of a large index would clear between the requests.
    """
    for step in steps:
        for state in states:
            if state.error is None:
                try:
                    step(state)
                except CrosstowerError as error:
                    state.error = error


def fail(states: Sequence[AnyState], error: CrosstowerError) -> None:
    """Mark requests as failed."""
    for state in states:
        state.error = error
