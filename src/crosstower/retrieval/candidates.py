"""The candidates of many queries, of one or several sources. Shapes: Q queries, C candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.retrieval.data.evaluation_queries import EvaluationQueries
from crosstower.retrieval.data.query_encoder import QueryEncoder
from crosstower.retrieval.data.tower_columns import retrieval_section_of, tower_columns_of
from crosstower.retrieval.evaluation_fallback import informed_queries
from crosstower.retrieval.inference import query_vectors
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import ID
from crosstower.retrieval.sources.candidate_source import Part, SourceQuery
from crosstower.retrieval.sources.merge import Merged, SourceRanks, ranks_at
from crosstower.retrieval.sources.quotas import NOTHING
from crosstower.values.arrays import Indices
from crosstower.values.ids import Id

_AT_ONCE = 2_048  # queries


@dataclass(frozen=True)
class Retrieved:
    """Candidates of Q queries.

    Args:
        places: `[Q, C]` in the catalogue, best first, -1 where there are fewer.
        scores: `[Q, C]`, inner products, or scores of the merge.
        names: S sources; none if the retrieval model found all.
        ranks: `[Q, C, S]`, from 1; 0 where the source has not found the candidate.

    """

    places: Indices
    scores: NDArray[np.float32]
    names: tuple[str, ...]
    ranks: NDArray[np.int32]

    @staticmethod
    def joined(parts: Sequence[Retrieved]) -> Retrieved:
        """Return the candidates of all parts, in order."""
        width = max(part.places.shape[1] for part in parts)
        places, scores, ranks = (
            np.concatenate([_wide(getattr(part, name), width, fill) for part in parts])
            for name, fill in (("places", -1), ("scores", -np.inf), ("ranks", 0))
        )
        return Retrieved(places, scores, parts[0].names, ranks)

    def take(self, queries: Indices) -> Retrieved:
        """Return the candidates of some queries, in their order."""
        places, scores, ranks = self.places[queries], self.scores[queries], self.ranks[queries]
        return Retrieved(places, scores, self.names, ranks)

    def ranks_of(self, query: Indices, item: Indices) -> Indices:
        """Return the ranks `[n, S]` of (query, item) pairs; 0 for items that were not found.

        >>> ranks = np.array([[[1, 0], [0, 2]]])
        >>> found = Retrieved(np.array([[7, 3]]), np.zeros((1, 2)), ("a", "b"), ranks)
        >>> found.ranks_of(np.array([0, 0]), np.array([3, 4])).tolist()
        [[0, 2], [0, 0]]
        """
        own, row = np.unique(query, return_inverse=True)
        at, column = np.nonzero(self.places[own] >= 0)
        places = self.places[own][at, column]
        width = int(max(places.max(initial=0), item.max(initial=0))) + 1
        ranks = self.ranks[own][at, column].astype(np.int64)
        return ranks_at(at * width + places, ranks, row * width + item)


def retrieve_candidates(
    retriever: Retriever,
    vectors: NDArray[np.float32],
    queries: Sequence[SourceQuery],
    size: int,
    *,
    where: str | None = None,
    informed: NDArray[np.bool_] | None = None,
) -> Retrieved:
    """Return the candidates of queries, without the histories if the recipe says so.

    As in a server, popular items are the candidates of a query for which nothing is found.

    Args:
        retriever: with its index and its sources.
        vectors: `[Q, D]` of the queries.
        queries: their histories and segments.
        size: maximum number of candidates per query.
        where: a condition on the attributes of items.
        informed: `[Q]`, whether the query tower knows anything of a query; otherwise the retrieval
            model finds nothing. All of them if None.

    Raises:
        QueryError: the condition is wrong.

    """
    sources = retriever.sources
    known = np.ones(len(queries), dtype=bool) if informed is None else informed
    if sources is None:
        places, scores = _nearest(retriever, vectors, queries, size, where)
        ranks = np.zeros((*places.shape, 0), np.int32)
        found = Retrieved(places, scores, (), ranks)
        return _with_popular(found, ~known, retriever, queries, size=size, where=where)
    nearest = _nearest_parts(retriever, vectors, queries, sources.model_quota(size), where)
    merged = [
        sources.found(
            query,
            part if knows else NOTHING,
            retriever.online_items,
            size,
            where=where,
            excluded=_excluded(retriever, query),
        )
        for query, part, knows in zip(queries, nearest, known, strict=True)
    ]
    nothing = np.array([not len(one.places) for one in merged], dtype=bool)
    found = _stacked(merged, sources.names)
    return _with_popular(found, nothing, retriever, queries, size=size, where=where)


def evaluated_queries(
    retriever: Retriever, queries: EvaluationQueries, columns: Batch
) -> tuple[Tensor, NDArray[np.bool_]]:
    """Return vectors `[Q, D]` of queries, and `[Q]`, whether the tower knows anything of each.

    Args:
        retriever: of the vectors.
        queries: Q of them.
        columns: encoded query columns `[Q]`.

    """
    run = retriever.run
    vectors = query_vectors(
        retriever.model,
        QueryEncoder(run.encoder, tower_columns_of(run.recipe), retriever.items[ID]),
        columns,
        queries.users,
        queries.earlier,
        times=queries.times,
    )
    return vectors, informed_queries(run.recipe, queries, vectors.numpy())


def evaluated_candidates(
    retriever: Retriever,
    vectors: NDArray[np.float32],
    queries: EvaluationQueries,
    size: int,
    *,
    informed: NDArray[np.bool_],
    segments: Sequence[Id | None] | None = None,
) -> Retrieved:
    """Return the candidates of evaluation queries, whose histories are those before them.

    Args:
        retriever: with its index and its sources.
        vectors: `[Q, D]` of the queries.
        queries: Q of them.
        size: maximum number of candidates per query.
        informed: `[Q]`, whether the query tower knows anything of a query.
        segments: `[Q]`, of the queries; None without segments.

    """
    parts = list[Retrieved]()
    for start in range(0, len(queries), _AT_ONCE):
        mine = slice(start, start + _AT_ONCE)
        histories = [queries.history(i) for i in range(*mine.indices(len(queries)))]
        asked = queries_of(histories, None if segments is None else segments[mine])
        parts.append(
            retrieve_candidates(retriever, vectors[mine], asked, size, informed=informed[mine])
        )
    return Retrieved.joined(parts)


def _excluded(retriever: Retriever, query: SourceQuery) -> Indices:
    hidden = retrieval_section_of(retriever.run.recipe).exclude_seen
    return query.history if hidden else query.history[:0]


def _with_popular(
    found: Retrieved,
    chosen: NDArray[np.bool_],
    retriever: Retriever,
    queries: Sequence[SourceQuery],
    *,
    size: int,
    where: str | None,
) -> Retrieved:
    """Return candidates with popular items, which no source has found, for the chosen queries."""
    if not chosen.any():
        return found
    popular, rows = retriever.popular_items, list[Merged]()
    for query in np.flatnonzero(chosen).tolist():
        one = queries[query]
        excluded = _excluded(retriever, one)
        places, counts = popular.best(size, where=where, excluded=excluded, segment=one.segment)
        ranks = np.zeros((len(places), len(found.names)), np.int64)
        unfound = SourceRanks(found.names, ranks, np.full(ranks.shape, np.nan))
        rows.append(Merged(places, counts.astype(np.float64), unfound))
    order = np.arange(len(queries))
    order[chosen] = len(queries) + np.arange(len(rows))
    return Retrieved.joined([found, _stacked(rows, found.names)]).take(order)


def queries_of(
    histories: Sequence[Indices], segments: Sequence[Id | None] | None = None
) -> list[SourceQuery]:
    """Return the queries of sources, from histories and segments `[Q]`."""
    known = [None] * len(histories) if segments is None else segments
    return [SourceQuery(places, one) for places, one in zip(histories, known, strict=True)]


def _nearest_parts(
    retriever: Retriever,
    vectors: NDArray[np.float32],
    queries: Sequence[SourceQuery],
    size: int,
    where: str | None,
) -> list[Part]:
    """Return the retrieval model's items for each query; none if it is not a source."""
    if not size:
        return [NOTHING] * len(queries)
    places, scores = _nearest(retriever, vectors, queries, size, where)
    return [
        (row[row >= 0], score[row >= 0].astype(np.float64))
        for row, score in zip(places, scores, strict=True)
    ]


def _nearest(
    retriever: Retriever,
    vectors: NDArray[np.float32],
    queries: Sequence[SourceQuery],
    size: int,
    where: str | None,
) -> tuple[Indices, NDArray[np.float32]]:
    """Return places `[Q, C]`, -1 where there are fewer, and inner products."""
    catalogue, exclude = retriever.catalogue, None
    if retrieval_section_of(retriever.run.recipe).exclude_seen:
        exclude = [catalogue.ids.gather(query.history) for query in queries]
    hits = retriever.index.search(vectors, size, where=where, exclude=exclude)
    return hits.places_in(catalogue), hits.scores


def _stacked(found: Sequence[Merged], names: tuple[str, ...]) -> Retrieved:
    width = max((len(one.places) for one in found), default=0)
    shape = len(found), width
    places, scores = np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32)
    ranks = np.zeros((*shape, len(names)), np.int32)
    for row, one in enumerate(found):
        count = len(one.places)
        places[row, :count], scores[row, :count] = one.places, one.scores
        ranks[row, :count] = one.sources.ranks
    return Retrieved(places, scores, names, ranks)


def _wide(values: NDArray[Any], width: int, fill: float) -> NDArray[Any]:
    """Return values `[Q, C, ...]` padded to `[Q, width, ...]`."""
    pad = [(0, 0), (0, width - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
    return np.pad(values, pad, constant_values=fill)
