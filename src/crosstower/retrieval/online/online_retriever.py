"""The retrieval of requests: candidates of one or several sources, popular ones as a fallback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import CrosstowerError
from crosstower.recipe.retrieval import Retrieval
from crosstower.retrieval.online.request import AnyState, Candidates, each, fail
from crosstower.retrieval.online.users import OnlineUsers
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.popular_items import PopularItems
from crosstower.retrieval.queries import Queries
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.quotas import Sources
from crosstower.values.ids import Id


class OnlineRetriever:
    """Finds the candidates of requests, several at a time, while items and users change.

    Popular items are the candidates of a request for which nothing is found, or if nothing that the
    query tower reads is known of the user and the query, such as the time of the request.

    Args:
        section: `retrieval` of the recipe.
        queries: encodes queries.
        users: looks up the users of requests.
        items: to find.
        popular: the items by their training rows.
        sources: of candidates; None for the retrieval model alone.
        columns: of the query that models read; those of the query tower if None.

    """

    def __init__(
        self,
        section: Retrieval,
        queries: Queries,
        users: OnlineUsers,
        items: OnlineItems,
        *,
        popular: PopularItems,
        sources: Sources | None,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._section, self._queries, self._users = section, queries, users
        self._items, self._popular, self._sources = items, popular, sources
        read = queries.columns if columns is None else columns
        self._unread = None if section.segment in read else section.segment

    def read(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return the columns of a query without the segment, if no model reads it."""
        return {name: value for name, value in query.items() if name != self._unread}

    def begin(self, state: AnyState, given: Mapping[str, Any]) -> None:
        """Look up the user of a request, and encode the query for the query tower.

        Args:
            state: of the request.
            given: the columns of its query that the query tower reads.

        Raises:
            QueryError: the user, a column of the query or an id is wrong.

        """
        request = state.request
        state.user = user = self._users.of(request.user, request.history, request.history_ages)
        if request.exclude:
            state.excluded = self._items.places_of(request.exclude)
        if self._section.exclude_seen and len(user.history):
            state.excluded = np.concatenate([state.excluded, self._items.current(user.history)])
        known = {n: v for n, v in user.columns.items() if n in self._queries.own_columns}
        state.segment = self._segment(state)
        if known or given or self._queries.row_times or self._is_trained(state):
            state.row = self._queries.row(request.user, None, {**known, **given})

    def find(self, states: Sequence[AnyState]) -> None:
        """Find the candidates of requests; one that fails does not stop the others."""
        self._encode([state for state in states if state.row is not None and state.error is None])
        self.search(states)

    def search(self, states: Sequence[AnyState]) -> None:
        """Find the candidates of requests whose queries are encoded.

        Requests of the same size and condition are searched together, then each is merged with the
        other sources.
        """
        groups: dict[tuple[int, str | None], list[AnyState]] = {}
        for state in states:
            sources = self._sources
            size = state.size if sources is None else sources.model_quota(state.size)
            if state.vector is not None and state.error is None and size:
                groups.setdefault((size, state.where), []).append(state)
        for (size, _), alike in groups.items():
            self._search(alike, size)
        each(states, self._take_found)

    def vector(self, state: AnyState, given: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the vector `[1, D]` of a request, even if the query tower knows nothing about it.

        Arguments and errors as `begin`. The segment is ignored unless the query tower reads it.
        """
        segment, read = self._section.segment, self._queries.columns
        self.begin(state, {n: v for n, v in given.items() if n != segment or n in read})
        row = state.row
        if row is None:
            row = self._queries.row(state.request.user, None, {})
        vector = self._queries.vectors([row], [state.user.history], [state.user.ages])
        self._queries.check_finite(vector)
        return vector

    def _is_trained(self, state: AnyState) -> bool:
        """Return whether the query tower reads the history or the training rows of the user."""
        queries, user = self._queries, state.user
        has_history = queries.reads_history and len(user.history) > 0
        return has_history or (user.trained and bool(queries.columns))

    def _segment(self, state: AnyState) -> Id | None:
        """Return the segment of a request, None if it is unknown."""
        name = self._section.segment
        if name is None:
            return None
        value = state.request.query.get(name, state.user.columns.get(name))
        return self._popular.segment_of(name, value)

    def _encode(self, states: Sequence[AnyState]) -> None:
        """Compute the vectors of queries, unless they give the items no order."""
        if not states:
            return
        rows = [state.row for state in states if state.row is not None]
        users = [state.user for state in states]
        history, ages = [user.history for user in users], [user.ages for user in users]
        vectors = self._queries.vectors(rows, history, ages)
        for state, vector in zip(states, vectors, strict=True):
            if self._queries.orders_items(vector):
                state.vector = vector[None]
        if not np.isfinite(vectors).all():
            each(states, self._check_vector)

    def _check_vector(self, state: AnyState) -> None:
        """Reject a request whose vector overflows."""
        if state.vector is not None:
            self._queries.check_finite(state.vector)

    def _search(self, alike: Sequence[AnyState], size: int) -> None:
        vectors = [state.vector for state in alike if state.vector is not None]
        excluded = [state.excluded for state in alike]
        try:
            found = self._items.nearest_each(
                np.concatenate(vectors), size, where=alike[0].where, excluded=excluded
            )
        except CrosstowerError as error:
            fail(alike, error)
            return
        for state, (places, scores) in zip(alike, found, strict=True):
            state.nearest = places, scores.astype(np.float64)

    def _take_found(self, state: AnyState) -> None:
        if self._sources is not None:
            query = SourceQuery(state.user.history, state.segment)
            found = self._sources.found(
                query,
                state.nearest,
                self._items,
                state.size,
                where=state.where,
                excluded=state.excluded,
            )
            if len(found.places):
                state.retrieved = Candidates(found.places, found.scores, found.sources)
                return
        elif state.vector is not None:
            state.retrieved = Candidates(*state.nearest)
            return
        self._take_popular(state)

    def _take_popular(self, state: AnyState) -> None:
        places, counts = self._popular.best(
            state.size, where=state.where, excluded=state.excluded, segment=state.segment
        )
        fallback = "popular" if state.segment is None else "popular_segment"
        state.retrieved = Candidates(places, counts.astype(np.float64), fallback=fallback)
