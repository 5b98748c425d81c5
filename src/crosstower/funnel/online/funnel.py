"""A live bundle: retrieve, rank, blend, for one request or several at once; items come and go."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import CrosstowerError, QueryError
from crosstower.funnel.online.answer import FunnelRequest, Ranked, milliseconds_since
from crosstower.funnel.online.blends import Blends
from crosstower.funnel.online.catalogue import LiveCatalogue
from crosstower.funnel.online.one_request import OneRequest, each, fail
from crosstower.funnel.online.ranker import LiveRanker
from crosstower.funnel.online.ranking import Ranking
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.queries import KnownUser
from crosstower.serving.bundle.bundle import Bundle
from crosstower.values.arrays import Indices

Floats = NDArray[np.float32]


class LiveFunnel:
    """Answers for a bundle that retrieves, or retrieves and ranks; not safe for several threads."""

    def __init__(self, bundle: Bundle, blends: Blends) -> None:
        self.bundle, self.blends = bundle, blends
        self.retriever = bundle.retriever()
        self.funnel = bundle.funnel() if bundle.ranking is not None else None
        self.ranker, self.form = None, "eager"
        if self.funnel is not None:
            scorer, self.form = bundle.fastest(self.funnel.scorer)
            rows, ranking = self.funnel.rows, self.funnel.ranking
            self.ranker = LiveRanker(rows, ranking, scorer, more=blends.by)
        self.catalogue = LiveCatalogue(self.retriever, self.ranker)
        self._stages = None
        if self.ranker is not None:
            self._stages = Ranking(self.ranker, self.catalogue, blends, self.tasks)

    @property
    def tasks(self) -> list[str]:
        """The ranker's tasks, the first of which orders where there is no blend."""
        return [] if self.funnel is None else list(self.funnel.ranking.recipe.schema_.tasks)

    @property
    def query_columns(self) -> list[str]:
        """The columns that a query may have."""
        if self.funnel is not None:
            rows = self.funnel.rows
            names = dict.fromkeys([*rows.asked, *rows.from_query])
            return [n for n in names if n != rows.user or n in rows.asked]
        return self.retriever.query_columns

    @property
    def needed_columns(self) -> list[str]:
        """The columns that a query must have."""
        if self.funnel is None:
            return []
        return [n for n in self.funnel.rows.from_query if n not in self.funnel.rows.known]

    @property
    def columns(self) -> list[str]:
        """All columns of queries and items."""
        section = retrieval_section_of(self.retriever.run.recipe)
        names = [section.user, section.item, section.time]
        attributes = self.catalogue.items.base.catalogue.attributes.columns
        return [*(n for n in names if n is not None), *self.query_columns, *attributes]

    def recommend(self, asked: FunnelRequest) -> Ranked:
        """Return the candidates of a request in order.

        Popular items stand for the retrieved ones where nothing is known of who asks: no user, or
        one that the bundle does not know, and no query.

        Raises:
            QueryError: k, the query, the condition or the blend is wrong.

        """
        return _only(self.recommend_each([asked]))

    def recommend_each(self, many: Sequence[FunnelRequest]) -> list[Ranked | CrosstowerError]:
        """Return what `recommend` gives, or raises, for each of several requests.

        Each answer is the same to the last bit as alone. Calibration and blend, which treat each
        row by itself, are done once for all with the same blend.
        """
        begin = time.perf_counter()
        requests = [OneRequest(asked) for asked in many]
        each(requests, self._begin)
        self._retrieve(requests)
        spent = milliseconds_since(begin)
        for request in requests:
            request.milliseconds["retrieve"] = spent
        return self._ranked(requests, begin)

    def rank(self, asked: FunnelRequest, items: Sequence[str | int]) -> Ranked:
        """Return given items in the order of the ranker; ids that are no items are told.

        Raises:
            QueryError: the bundle has no ranker, or the query or the blend is wrong.

        """
        begin = time.perf_counter()
        if self.funnel is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        self.funnel.rows.check_given(asked.query)
        places = self.catalogue.items.places_of(items)
        unknown = tuple(i for i, place in zip(items, places, strict=True) if place < 0)
        places = places[places >= 0]
        request = OneRequest(asked, known=self._known(asked.user))
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

    def _begin(self, request: OneRequest) -> None:
        """Check a request, look up who asks, and encode the query for the retriever."""
        asked, queries = request.asked, self.retriever.queries
        queries.check_user(asked.user)
        request.size = self._size(asked)
        request.known = self._known(asked.user)
        if self.funnel is not None:
            self.funnel.rows.check_given(asked.query)
        if asked.exclude:
            request.excluded = self.catalogue.items.places_of(asked.exclude)
        given = self._asked_of(asked.query)
        nothing = self.retriever.history_only and not given
        if request.known is not None or (asked.query and not nothing):
            request.row = queries.row(asked.user, request.known, given)
            if retrieval_section_of(self.retriever.run.recipe).exclude_seen and len(
                request.history
            ):
                request.excluded = np.concatenate([request.excluded, request.history])

    def _retrieve(self, requests: Sequence[OneRequest]) -> None:
        """Find the candidates of all requests."""
        each([r for r in requests if r.row is None], self._popular)
        asking = [r for r in requests if r.row is not None]
        if not asking:
            return
        rows = [r.row for r in asking if r.row is not None]
        vectors = self.retriever.queries.vectors(rows, [r.history for r in asking])
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

    def _popular(self, request: OneRequest) -> None:
        """Find popular items in place of candidates."""
        places, scores = self.catalogue.popular(
            request.size, where=request.asked.where, excluded=request.excluded
        )
        request.found = replace(_candidates(places, scores), fallback="popular")

    def _ranked(
        self, requests: Sequence[OneRequest], begin: float
    ) -> list[Ranked | CrosstowerError]:
        """Return the candidates of all requests with the scores of the ranker, in final order."""
        if self._stages is not None:
            each(requests, self._complete)
            self._stages.rank(requests)
        for request in requests:
            request.milliseconds["total"] = milliseconds_since(begin)
        return [request.answer() for request in requests]

    def _complete(self, request: OneRequest) -> None:
        """Gather the raw columns of a query for the ranker."""
        asked, known, rows = request.asked, request.known, self.funnel.rows  # type: ignore[union-attr]
        row: dict[str, Any] = dict.fromkeys(rows.known)
        if asked.user is not None and rows.user is not None:
            row[rows.user] = asked.user
            if known is not None:
                row |= known.row
                row[rows.user] = known.id
        request.raw = row | dict(asked.query)

    def _size(self, asked: FunnelRequest) -> int:
        """Return how many candidates a request gets."""
        size = self.bundle.manifest.candidates if asked.candidates is None else asked.candidates
        if self.funnel is None:
            size = max(asked.k, asked.candidates or 0)
        if asked.k < 1 or size < 1:
            raise QueryError(f"k: expected at least 1, got {min(asked.k, size)}")
        if asked.k > size:
            raise QueryError(
                f"k: expected 1 to {size:,}, the number of candidates, got {asked.k:,}; ask for"
                " more candidates"
            )
        return max(1, min(size, len(self.catalogue.items)))

    def _known(self, user: str | int | None) -> KnownUser | None:
        if user is None or retrieval_section_of(self.retriever.run.recipe).user is None:
            return None
        return self.retriever.queries.known(user)

    def _asked_of(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a query the retrieval model reads."""
        if self.funnel is None:
            return dict(query)
        return {n: v for n, v in query.items() if n in self.funnel.rows.asked}


def _candidates(places: Indices, scores: Floats) -> Ranked:
    """Return candidates as they were retrieved."""
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
