"""The candidate sources of a retrieval run, with their quotas."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.popular_items import first_fitting
from crosstower.retrieval.sources.candidate_source import CandidateSource, Part, SourceQuery
from crosstower.retrieval.sources.merge import Merged, merged
from crosstower.retrieval.sources.trend import Trend
from crosstower.values.arrays import Indices

NOTHING: Part = np.empty(0, np.int64), np.empty(0)


class Sources:
    """Sources of candidates by name, with quotas.

    Args:
        sources: opened, in the order of the recipe.
        quotas: maximum number of candidates of each source.
        model: name of the source that is the retrieval model; None without one.

    """

    def __init__(
        self,
        sources: Mapping[str, CandidateSource],
        quotas: Mapping[str, int],
        model: str | None = None,
    ) -> None:
        self._sources, self.quotas, self.model = dict(sources), dict(quotas), model
        self.names = tuple(self._sources)

    @property
    def total(self) -> int:
        """The sum of the quotas."""
        return sum(self.quotas.values())

    @property
    def trends(self) -> list[Trend]:
        """The trends of sources that count events."""
        found = (getattr(source, "trend", None) for source in self._sources.values())
        return [trend for trend in found if isinstance(trend, Trend)]

    def quota(self, name: str, size: int) -> int:
        """Return the quota of a source for lists of `size` candidates.

        Above the sum of the quotas, all quotas grow in proportion; below it, they stay, and the
        merged list is cut.
        """
        return -(-self.quotas[name] * max(size, self.total) // self.total)  # rounded up

    def model_quota(self, size: int) -> int:
        """Return the quota of the retrieval model, 0 if it is not a source."""
        return 0 if self.model is None else self.quota(self.model, size)

    def found(
        self,
        query: SourceQuery,
        nearest: Part,
        items: OnlineItems,
        size: int,
        *,
        where: str | None = None,
        excluded: Indices,
    ) -> Merged:
        """Return the candidates of a query.

        Args:
            query: its history and segment.
            nearest: items that the retrieval model finds, best first; no more than its quota.
            items: the catalogue as it is now.
            size: maximum number of candidates.
            where: a condition on the attributes.
            excluded: places to leave out.

        Raises:
            QueryError: the condition is wrong.

        """
        found = [
            nearest
            if name == self.model
            else found_by(
                source, query, items, self.quota(name, size), where=where, excluded=excluded
            )
            for name, source in self._sources.items()
        ]
        return merged(self.names, found, size=size)


def found_by(
    source: CandidateSource,
    query: SourceQuery,
    items: OnlineItems,
    k: int,
    *,
    where: str | None,
    excluded: Indices,
) -> Part:
    """Return the first k items of a source that may be shown, also newer ones, and scores.

    Raises:
        QueryError: the condition is wrong.

    """
    newer = _newer(source, items)
    if newer is None:
        return first_fitting(source.parts(query), items, k, where=where, excluded=excluded)
    own, scores = newer
    every = np.arange(items.newer_count) + items.first_newer
    hidden = np.concatenate([excluded, every])  # their scores are those of `newer`
    old = first_fitting(source.parts(query), items, k, where=where, excluded=hidden)
    new = first_fitting([(own, scores)], items, k, where=where, excluded=excluded)
    places, both = np.concatenate([old[0], new[0]]), np.concatenate([old[1], new[1]])
    order = np.argsort(-both, kind="stable")[:k]
    return places[order], both[order]


def _newer(source: CandidateSource, items: OnlineItems) -> Part | None:
    """Return the added and changed items that a source scores itself, best first."""
    if items.newer is None:
        return None
    own = items.newer.catalogue
    scores = source.newer(own.attributes, items.catalogue.places_of(own.ids))
    if scores is None:
        return None
    places = np.flatnonzero(~np.isnan(scores))
    places = places[np.argsort(-scores[places], kind="stable")]
    return places + items.first_newer, scores[places]
