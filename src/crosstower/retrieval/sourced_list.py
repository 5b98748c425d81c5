"""A list of a retrieval run with several sources, for one user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from crosstower.errors import QueryError
from crosstower.recipe.arguments import count_of
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.index.index import Hits
from crosstower.retrieval.queries import NO_ITEMS
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.merge import SourceRanks
from crosstower.retrieval.sources.quotas import NOTHING
from crosstower.values.ids import Id

if TYPE_CHECKING:
    from crosstower.retrieval.retriever import Retriever


def of_sources(
    retriever: Retriever,
    user: str | int | None,
    *,
    k: int,
    where: str | None,
    query: Mapping[str, Any] | None,
    history: Sequence[str | int] | None,
    history_times: Sequence[datetime | str] | None = None,
) -> tuple[Hits, SourceRanks | None]:
    """Return the best items of all sources, as a funnel without a ranker does.

    Popular items are returned if no source finds an item. Arguments and errors are those of
    `Retriever.recommend`.
    """
    count_of("k", k, error=QueryError)
    sources, items, nearest = retriever.sources, retriever.online_items, NOTHING
    if sources is None:
        raise QueryError("the recipe has no sources")
    read, segment = _read(retriever, query), _segment(retriever, user, query)
    vector, seen = retriever.query(user, read, history=history, history_times=history_times)
    nothing = retriever.nothing_known(user, read, seen, vector)
    trained = user is not None and retriever.queries.place_of(user) >= 0
    segment_only = segment is not None and not (read or trained or len(seen))
    out = seen if retrieval_section_of(retriever.run.recipe).exclude_seen else NO_ITEMS
    size = sources.model_quota(k)
    if size and not (nothing or segment_only):
        places, scores = items.nearest(vector, size, where=where, excluded=out)
        nearest = places, scores.astype(np.float64)
    asked = SourceQuery(seen, segment)
    found = sources.found(asked, nearest, items, k, where=where, excluded=out)
    if not len(found.places):
        return retriever.popular(k, where=where, excluded=out, segment=segment), None
    scores = found.scores[None].astype(np.float32)
    return Hits(retriever.catalogue, found.places[None], scores), found.sources


def _read(retriever: Retriever, query: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a query without the segment, if the query tower does not read it."""
    segment = retrieval_section_of(retriever.run.recipe).segment
    unread = None if segment in retriever.queries.columns else segment
    return {name: value for name, value in (query or {}).items() if name != unread}


def _segment(
    retriever: Retriever, user: str | int | None, query: Mapping[str, Any] | None
) -> Id | None:
    """Return the segment of a query, or of the user's last row; None if it has no training rows."""
    name = retrieval_section_of(retriever.run.recipe).segment
    if name is None:
        return None
    known = None if user is None else retriever.queries.known(user)
    own = {} if known is None else known.row
    return retriever.popular_items.segment_of(name, (query or {}).get(name, own.get(name)))
