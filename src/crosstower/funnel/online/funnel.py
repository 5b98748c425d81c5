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
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.ranking import Ranking
from crosstower.funnel.online.request import (
    FunnelRequest,
    Ranked,
    RequestState,
    each,
    fail,
    milliseconds_since,
)
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.retriever import Retriever
from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]


class OnlineFunnel:
    """Answers requests by a retriever, and a ranker if there is one; not safe for several threads.

    Args:
        retriever: finds candidates, and has the items.
        ranker: orders them, with the blends that requests may ask for; without it candidates
            keep the order of retrieval.
        candidates: number of items to rank, unless a request says otherwise.
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
        self._stages = Ranking(ranker, self.catalogue) if ranker is not None else None

    @property
    def query_columns(self) -> list[str]:
        """The columns that a query may have."""
        if self.ranker is not None:
            rows = self.ranker.rows
            names = dict.fromkeys([*rows.asked, *rows.from_query])
            return [n for n in names if n != rows.user or n in rows.asked]
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

    def recommend(self, asked: FunnelRequest) -> Ranked:
        """Return the candidates of a request in order.

        Popular items replace the retrieved ones if the user is unknown and there is no query.

        Raises:
            QueryError: k, the query, the condition or the blend is wrong.

        """
        return _only(self.recommend_each([asked]))

    def recommend_each(self, many: Sequence[FunnelRequest]) -> list[Ranked | CrosstowerError]:
        """Return what `recommend` returns, or raises, for each of several requests.

        Each answer is the same to the last bit as that of a batch of one. Calibration and blend,
        which treat each row by itself, run once for all requests with the same blend.
        """
        begin = time.perf_counter()
        requests = [RequestState(asked) for asked in many]
        each(requests, self._begin)
        self._retrieve(requests)
        spent = milliseconds_since(begin)
        for request in requests:
            request.milliseconds["retrieve"] = spent
        return self._ranked(requests, begin)

    def rank(self, asked: FunnelRequest, items: Sequence[str | int]) -> Ranked:
        """Return given items in the ranker's order; ids that are no items are reported.

        Raises:
            QueryError: there is no ranker, or the query or the blend is wrong.

        """
        begin = time.perf_counter()
        if self.ranker is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        self.ranker.rows.check_given(asked.query)
        places = self.catalogue.items.places_of(items)
        unknown = tuple(i for i, place in zip(items, places, strict=True) if place < 0)
        places = places[places >= 0]
        known = self._queries.known(asked.user) if asked.user is not None else None
        request = RequestState(asked, known=known)
        request.found = Ranked(places=places, score=np.zeros(len(places)), unknown=unknown)
        return _only(self._ranked([request], begin))

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

    def _begin(self, request: RequestState) -> None:
        """Check a request, look up its user, and encode the query for the retriever."""
        asked, queries = request.asked, self._queries
        request.size = self._size(asked)
        if asked.user is not None:
            queries.check_user(asked.user)
            request.known = queries.known(asked.user)
        given = dict(asked.query)
        if self.ranker is not None:
            self.ranker.rows.check_given(given)
            given = {n: v for n, v in given.items() if n in self.ranker.rows.asked}
        if asked.exclude:
            request.excluded = self.catalogue.items.places_of(asked.exclude)
        nothing = queries.history_only and not given
        if request.known is not None or (asked.query and not nothing):
            request.row = queries.row(asked.user, request.known, given)
            if self._section.exclude_seen and len(request.history):
                request.excluded = np.concatenate([request.excluded, request.history])

    def _retrieve(self, requests: Sequence[RequestState]) -> None:
        """Find the candidates of all requests."""
        each([r for r in requests if r.row is None], self._popular)
        asking = [r for r in requests if r.row is not None]
        if not asking:
            return
        rows = [r.row for r in asking if r.row is not None]
        vectors = self._queries.vectors(rows, [r.history for r in asking])
        alike: dict[tuple[str | None, int], list[int]] = {}
        for number, request in enumerate(asking):
            alike.setdefault((request.asked.where, request.size), []).append(number)
        for (where, size), numbers in alike.items():
            group = [asking[number] for number in numbers]
            out = [request.excluded for request in group]
            try:
                found = self.catalogue.items.nearest_of_each(
                    vectors[numbers], size, where=where, excluded=out
                )
            except CrosstowerError as error:
                fail(group, error)
                continue
            for request, (places, scores) in zip(group, found, strict=True):
                request.found = _candidates(places, scores)

    def _popular(self, request: RequestState) -> None:
        """Take popular items as candidates."""
        places, scores = self.catalogue.popular(
            request.size, where=request.asked.where, excluded=request.excluded
        )
        request.found = replace(_candidates(places, scores), fallback="popular")

    def _ranked(
        self, requests: Sequence[RequestState], begin: float
    ) -> list[Ranked | CrosstowerError]:
        """Return the candidates of all requests with the scores of the ranker, in final order."""
        if self._stages is not None:
            each(requests, self._complete)
            self._stages.rank(requests)
        spent = milliseconds_since(begin)
        for request in requests:
            request.milliseconds["total"] = spent
        return [request.answer() for request in requests]

    def _complete(self, request: RequestState) -> None:
        """Gather the raw columns of a query for the ranker."""
        asked, known, rows = request.asked, request.known, self.ranker.rows  # type: ignore[union-attr]
        row: dict[str, Any] = dict.fromkeys(rows.known)
        if asked.user is not None and rows.user is not None:
            row[rows.user] = asked.user
            if known is not None:
                row |= known.row
                row[rows.user] = known.id
        request.raw = row | dict(asked.query)

    def _size(self, asked: FunnelRequest) -> int:
        """Return the number of candidates of a request."""
        size = self.candidates if asked.candidates is None else asked.candidates
        if self.ranker is None:
            size = max(asked.k, asked.candidates or 0)
        if asked.k < 1 or size < 1:
            raise QueryError(f"k: expected at least 1, got {min(asked.k, size)}")
        if asked.k > size:
            raise QueryError(
                f"k: expected 1 to {size:,}, the number of candidates, got {asked.k:,}; ask for"
                " more candidates"
            )
        return max(1, min(size, len(self.catalogue.items)))


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
    """Return an answer that has no more stages."""
    spent = milliseconds_since(begin)
    answer = replace(_candidates(*found), retrieval_rank=None, retrieval_score=None)
    return replace(answer, milliseconds={"retrieve": spent, "total": spent})


def _only(answers: Sequence[Ranked | CrosstowerError]) -> Ranked:
    answer = answers[0]
    if isinstance(answer, CrosstowerError):
        raise answer
    return answer
