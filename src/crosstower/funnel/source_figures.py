"""Items that each source of a funnel finds. Shapes: Q queries, C candidates, S sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crosstower.funnel.stages import are_in
from crosstower.retrieval.candidates import Retrieved
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class SourceFigures:
    """Relevant items that a source finds: `found` in all, `alone` by no other source."""

    name: str
    quota: int
    found: int
    alone: int


def source_figures(
    found: Retrieved, quotas: Mapping[str, int], relevant: tuple[Indices, Indices]
) -> tuple[SourceFigures, ...]:
    """Return the relevant items that each source finds; none without sources.

    Args:
        found: candidates of the queries.
        quotas: of the sources, by name.
        relevant: (query, item) pairs.

    """
    query = np.repeat(np.arange(len(found.places)), found.places.shape[1])
    hit = are_in(relevant, (query, found.places.ravel())).reshape(found.places.shape)
    mine = found.ranks > 0  # [Q, C, S]
    alone = mine.sum(axis=2) == 1
    return tuple(
        SourceFigures(
            name,
            quotas[name],
            int((hit & mine[:, :, s]).sum()),
            int((hit & mine[:, :, s] & alone).sum()),
        )
        for s, name in enumerate(found.names)
    )


def found_by_others(found: Retrieved, source: int) -> NDArray[np.bool_]:
    """Return which candidates `[Q, C]` remain without a source.

    Popular items that no source has found remain.

    >>> ranks = np.array([[[1, 0], [0, 2], [3, 1]]])
    >>> one = Retrieved(np.array([[7, 8, 9]]), np.zeros((1, 3)), ("a", "b"), ranks)
    >>> found_by_others(one, 0).tolist()
    [[False, True, True]]
    """
    others = np.delete(found.ranks, source, axis=2)
    return np.asarray((others > 0).any(axis=2) | (found.ranks[:, :, source] == 0))


def source_sentences(figures: Sequence[SourceFigures], relevant: int) -> list[str]:
    """Return a sentence per source.

    >>> source_sentences([SourceFigures("item_knn", 50, 40, 6)], relevant=100)
    ['item_knn finds 40 % of the relevant items among its 50 candidates, 6 % that no other finds.']
    """
    return [
        f"{one.name} finds {100 * one.found / relevant:.0f} % of the relevant items among its"
        f" {one.quota:,} candidates, {100 * one.alone / relevant:.0f} % that no other finds."
        for one in figures
    ]
