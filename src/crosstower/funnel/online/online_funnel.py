"""The online funnel: retrieve, rank and blend for a batch of requests, while items change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.blending.rules.pacing import Ledger
from crosstower.errors import CrosstowerError, QueryError
from crosstower.funnel.online.candidates import candidates_of, columns_of
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.explorer import Explorer
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.request import FunnelRequest, Ranked, RequestState
from crosstower.funnel.online.rules import FunnelRules
from crosstower.recipe.rules import Rules
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.online.online_retriever import OnlineRetriever
from crosstower.retrieval.online.request import each
from crosstower.retrieval.online.users import OnlineUsers
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.similar import similar_items
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
        rules: of all lists; a request can add some.
        ledger: spending of the campaigns of rules.

    """

    def __init__(
        self,
        retriever: Retriever,
        ranker: OnlineRanker | None = None,
        *,
        candidates: int,
        index: ItemIndex | None = None,
        rules: Rules | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.retriever, self.ranker, self.candidates = retriever, ranker, candidates
        self._queries, self._section = retriever.queries, retrieval_section_of(retriever.run.recipe)
        self.catalogue = OnlineCatalogue(retriever, ranker, index)
        self._explorer = Explorer(self.catalogue.popular.training_rows)
        self.users = OnlineUsers(
            self._queries,
            self.catalogue.items,
            self._attributes,
            check=ranker.check if ranker is not None else None,
            length=ranker.rows.history_length if ranker is not None else 0,
        )
        self._retrieval = OnlineRetriever(
            self._section,
            self._queries,
            self.users,
            self.catalogue.items,
            popular=self.catalogue.popular,
            sources=self.catalogue.sources,
            columns=[*ranker.rows.query_columns, *ranker.rows.from_query] if ranker else None,
        )
        own = rules or Rules()
        self.rules = FunnelRules(self.catalogue, self._retrieval, own, ledger or Ledger())
        self._has_rules = own.given()

    @property
    def query_columns(self) -> list[str]:
        """The columns that a query may have."""
        segment = [self._section.segment] if self._section.segment is not None else []
        if self.ranker is None:
            return list(dict.fromkeys([*self._queries.columns, *segment]))
        rows = self.ranker.rows
        names = dict.fromkeys([*rows.query_columns, *rows.from_query, *segment])
        return [n for n in names if n != rows.user or n in rows.query_columns]

    @property
    def needed_columns(self) -> list[str]:
        """The columns that a query must have."""
        return [] if self.ranker is None else list(self.ranker.rows.needed)

    @property
    def _attributes(self) -> list[str]:
        """The columns that attributes of a user may have."""
        own = [self._section.user, *self._queries.row_times]
        if self.ranker is not None:
            own += [self.ranker.rows.history, *self.ranker.rows.row_times]
        return [name for name in self.query_columns if name not in own]

    @property
    def columns(self) -> list[str]:
        """All columns of queries and items."""
        names = [self._section.user, self._section.item, self._section.time]
        named = [n for n in names if n is not None]
        return [*named, *self.query_columns, *self.catalogue.items.schema]

    def recommend(self, request: FunnelRequest) -> Ranked:
        """Return the candidates of a request in order.

        Popular items replace the retrieved ones if nothing is known of the user and the query that
        the query tower reads: those of the segment, if it is known.

        Raises:
            QueryError: k, the query, the condition, the blend or a rule is wrong.

        """
        return _only(self.recommend_each([request]))

    def recommend_each(self, many: Sequence[FunnelRequest]) -> list[Ranked | CrosstowerError]:
        """Return the result or the exception of `recommend` for each of several requests.

        Each result is the same to the last bit as that of a batch of one. Calibration and blend,
        which treat each row by itself, run once for all requests with the same blend.
        """
        begin = time.perf_counter()
        states = [RequestState(request, began=begin) for request in many]
        self.retrieve(states)
        each([state for state in states if state.rules is not None], self.rules.add)
        spent = time.perf_counter() - begin
        for state in states:
            state.seconds["retrieve"] = spent
        return self._ranked(states, begin)

    def retrieve(self, states: Sequence[RequestState]) -> None:
        """Find the candidates of requests; one that fails does not stop the others."""
        each(states, self._begin)
        self._retrieval.find(states)
        for state in states:
            state.found = candidates_of(state.retrieved)

    def rank(self, request: FunnelRequest, items: Sequence[str | int]) -> Ranked:
        """Return given items in the ranker's order; ids that are not items are reported.

        If the ranker reads columns of retrieval, candidates are retrieved as for a list, but only
        to fill these columns of the given items.

        Raises:
            QueryError: there is no ranker, or the query, the blend or a rule is wrong.

        """
        begin = time.perf_counter()
        if self.ranker is None:
            raise QueryError("rank: this bundle only retrieves; it has no ranker")
        self.ranker.rows.check_given(self._retrieval.read(request.query))
        places = self.catalogue.items.places_of(items)
        unknown = tuple(i for i, place in zip(items, places, strict=True) if place < 0)
        places = places[places >= 0]
        user = self.users.of(request.user, request.history, request.history_ages)
        state = RequestState(request, user=user, began=begin)
        if self.ranker.rows.retrieved:
            whole = RequestState(replace(request, k=1, candidates=None))
            self.retrieve([whole])
            if whole.error is not None:
                raise whole.error
            state.vector, state.retrieved = whole.vector, whole.retrieved
        if self._has_rules or request.rules is not None:
            self.rules.begin(state)
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
        vector = self._retrieval.vector(RequestState(FunnelRequest(query=given)), given)
        return _found(self.catalogue.items.nearest(vector, k, where=where), begin)

    def similar(self, item: str | int, *, k: int, where: str | None = None) -> Ranked:
        """Return the items whose vectors point most nearly in an item's direction (cosine).

        Raises:
            QueryError: the item is unknown or has no vector, or `where` is wrong.

        """
        begin = time.perf_counter()
        items, encoder = self.catalogue.items, self.retriever.item_encoder
        return _found(similar_items(items, encoder, item, k=k, where=where), begin)

    def _begin(self, state: RequestState) -> None:
        """Check a request, look up its user, and read the query for the retriever."""
        state.size, state.where = self._size(state.request), state.request.where
        given = self._retrieval.read(state.request.query)
        if self.ranker is not None:
            self.ranker.rows.check_given(given)
            given = {n: v for n, v in given.items() if n in self.ranker.rows.query_columns}
        self._retrieval.begin(state, given)
        if self._has_rules or state.request.rules is not None:
            self.rules.begin(state)

    def _ranked(
        self, states: Sequence[RequestState], begin: float
    ) -> list[Ranked | CrosstowerError]:
        """Return the candidates of all requests with the scores of the ranker, in final order."""
        if self.ranker is not None and self.catalogue.ranked is not None:
            if self.ranker.rows.retrieved:
                each(states, self._fill)
            self.ranker.rank(states, self.catalogue.ranked, self._explorer)
        else:
            each(states, self._explore)
        each([state for state in states if state.rules is not None], self.rules.order)
        spent = time.perf_counter() - begin
        for state in states:
            state.seconds["total"] = spent
        return [state.result() for state in states]

    def _fill(self, state: RequestState) -> None:
        """Fill the columns of retrieval that the ranker reads of the candidates."""
        wanted = () if self.ranker is None else self.ranker.rows.retrieved
        state.columns = columns_of(wanted, state, self.catalogue)

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


def _found(found: tuple[Indices, Floats], begin: float) -> Ranked:
    """Return a result that has no more stages."""
    spent, (places, scores) = time.perf_counter() - begin, found
    seconds = {"retrieve": spent, "total": spent}
    count, score = len(places), scores.astype(np.float64)
    return Ranked(places, score, retrieved=count, began=begin, seconds=seconds)


def _only(results: Sequence[Ranked | CrosstowerError]) -> Ranked:
    result = results[0]
    if isinstance(result, CrosstowerError):
        raise result
    return result
