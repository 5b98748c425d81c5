"""The online funnel: retrieve, rank and blend for a batch of requests, while items change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import CrosstowerError, QueryError
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.explorer import Explorer
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.request import (
    FunnelRequest,
    Ranked,
    RequestState,
    each,
    milliseconds_since,
)
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.retriever import Retriever
from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]


class OnlineFunnel:
    """Serves requests by a retriever, and a ranker if there is one; not safe for several threads.

    Args:
        retriever: finds candidates, and has the items.
        ranker: orders them, and has the blends that requests can select; without it candidates
            keep the order of retrieval.
        candidates: number of items to rank; a request can override it.
        index: of the items; the retriever's own if None.

    """

    def __init__(
        self,
        retriever: Retriever,
        ranker: OnlineRanker | None = None,
        *,
        candidates: int,
        index: ItemIndex | None = None,
    ) -> None:
        self.retriever, self.ranker, self.candidates = retriever, ranker, candidates
        self._queries, self._section = retriever.queries, retrieval_section_of(retriever.run.recipe)
        self.catalogue = OnlineCatalogue(retriever, ranker, index)
        self._explorer = Explorer(self.catalogue.training_rows)

    @property
    def query_columns(self) -> list[str]:
        """The columns that a query may have."""
        if self.ranker is not None:
            rows = self.ranker.rows
            names = dict.fromkeys([*rows.query_columns, *rows.from_query])
            return [n for n in names if n != rows.user or n in rows.query_columns]
        return self._queries.columns

    @property
    def needed_columns(self) -> list[str]:
        """The columns that a query must have."""
        if self.ranker is None:
            return []
        rows = self.ranker.rows
        return [n for n in rows.from_query if n not in rows.known]

    @property
    def columns(self) -> list[str]:
        """All columns of queries and items."""
        names = [self._section.user, self._section.item, self._section.time]
        named = [n for n in names if n is not None]
        return [*named, *self.query_columns, *self.catalogue.items.schema]

    def recommend(self, request: FunnelRequest) -> Ranked:
        """Return the candidates of a request in order.

        Popular items replace the retrieved ones if the user is unknown and there is no query.

        Raises:
            QueryError: k, the query, the condition or the blend is wrong.

        """
        return _only(self.recommend_each([request]))

    def recommend_each(self, many: Sequence[FunnelRequest]) -> list[Ranked | CrosstowerError]:
        """Return what `recommend` returns, or raises, for each of several requests.

        Each result is the same to the last bit as that of a batch of one. Calibration and blend,
        which treat each row by itself, run once for all requests with the same blend.
        """
        begin = time.perf_counter()
        states = [RequestState(request) for request in many]
        each(states, self._retrieve)
        spent = milliseconds_since(begin)
        for state in states:
            state.milliseconds["retrieve"] = spent
        return self._ranked(states, begin)

    def rank(self, request: FunnelRequest, items: Sequence[str | int]) -> Ranked:
        """Return given items in the ranker's order; ids that are no items are reported.

        Raises:
            QueryError: there is no ranker, or the query or the blend is wrong.

        """
        begin = time.perf_counter()
        if self.ranker is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        self.ranker.rows.check_given(request.query)
        places = self.catalogue.items.places_of(items)
        unknown = tuple(i for i, place in zip(items, places, strict=True) if place < 0)
        places = places[places >= 0]
        known = self._queries.known(request.user) if request.user is not None else None
        state = RequestState(request, known=known)
        state.found = Ranked(places=places, score=np.zeros(len(places)), unknown=unknown)
        return _only(self._ranked([state], begin))

    def search(
        self, text: str, *, k: int, where: str | None = None, query: Mapping[str, Any] | None = None
    ) -> Ranked:
        """Return the items nearest to a text.

        Raises:
            QueryError: the recipe's queries have no text column, or several, or `where` is wrong.

        """
        begin = time.perf_counter()
        given = self.retriever.text_query(text, query)
        vector, _ = self.retriever.query(None, given)
        return _retrieved(self.catalogue.items.nearest(vector, k, where=where), begin)

    def similar(self, item: str | int, *, k: int, where: str | None = None) -> Ranked:
        """Return the items whose vectors point most nearly in an item's direction (cosine).

        Raises:
            QueryError: there is no such item, or `where` is wrong.

        """
        begin = time.perf_counter()
        place = int(self.catalogue.items.places_of([item])[0])
        if place < 0:
            raise QueryError(f"no item {item!r} among {len(self.catalogue.items):,}")
        return _retrieved(self.catalogue.items.similar(place, k, where=where), begin)

    def _retrieve(self, state: RequestState) -> None:
        """Find the candidates of a request."""
        self._begin(state)
        where, excluded = state.request.where, state.excluded
        if state.row is None:
            places, scores = self.catalogue.popular(state.size, where=where, excluded=excluded)
            state.found = replace(_candidates(places, scores), fallback="popular")
            return
        vector = self._queries.vectors([state.row], [state.history])
        found = self.catalogue.items.nearest(vector, state.size, where=where, excluded=excluded)
        state.found = _candidates(*found)

    def _begin(self, state: RequestState) -> None:
        """Check a request, look up its user, and encode the query for the retriever."""
        request, queries = state.request, self._queries
        state.size = self._size(request)
        if request.user is not None:
            queries.check_user(request.user)
            state.known = queries.known(request.user)
        given = dict(request.query)
        if self.ranker is not None:
            self.ranker.rows.check_given(given)
            given = {n: v for n, v in given.items() if n in self.ranker.rows.query_columns}
        if request.exclude:
            state.excluded = self.catalogue.items.places_of(request.exclude)
        nothing = queries.history_only and not given
        if state.known is not None or (request.query and not nothing):
            state.row = queries.row(request.user, state.known, given)
            if self._section.exclude_seen and len(state.history):
                state.excluded = np.concatenate([state.excluded, state.history])

    def _ranked(
        self, states: Sequence[RequestState], begin: float
    ) -> list[Ranked | CrosstowerError]:
        """Return the candidates of all requests with the scores of the ranker, in final order."""
        if self.ranker is not None and self.catalogue.ranked is not None:
            self.ranker.rank(states, self.catalogue.ranked, self._explorer)
        else:
            each(states, self._explore)
        spent = milliseconds_since(begin)
        for state in states:
            state.milliseconds["total"] = spent
        return [state.result() for state in states]

    def _explore(self, state: RequestState) -> None:
        """Draw the order of candidates that no ranker orders."""
        draw = self._explorer.of(state.request)
        if draw is not None:
            found, ranks = draw(state.found, np.arange(1, len(state.found.places) + 1))
            state.found = found.take(np.argsort(ranks))

    def _size(self, request: FunnelRequest) -> int:
        """Return the number of candidates of a request."""
        size = self.candidates if request.candidates is None else request.candidates
        if self.ranker is None:
            size = max(request.k, request.candidates or 0)
        if request.k < 1 or size < 1:
            raise QueryError(f"k: expected at least 1, got {min(request.k, size)}")
        if request.k > size:
            raise QueryError(
                f"k: expected 1 to {size:,}, the number of candidates, got {request.k:,}; ask for"
                " more candidates"
            )
        return size


def _candidates(places: Indices, scores: Floats) -> Ranked:
    """Return candidates in the order of retrieval."""
    score = scores.astype(np.float64)
    return Ranked(
        places=places,
        score=score,
        retrieval_rank=np.arange(1, len(places) + 1),
        retrieval_score=score,
        retrieved=len(places),
    )


def _retrieved(found: tuple[Indices, Floats], begin: float) -> Ranked:
    """Return a result that has no more stages."""
    spent = milliseconds_since(begin)
    result = replace(_candidates(*found), retrieval_rank=None, retrieval_score=None)
    return replace(result, milliseconds={"retrieve": spent, "total": spent})


def _only(results: Sequence[Ranked | CrosstowerError]) -> Ranked:
    result = results[0]
    if isinstance(result, CrosstowerError):
        raise result
    return result
