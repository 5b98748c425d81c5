"""The merge of candidates from several sources. Shapes: C candidates, S sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from crosstower.retrieval.sources.candidate_source import Part
from crosstower.values.arrays import Floats, Indices

_CONSTANT = 60.0  # k of Cormack et al.


@dataclass(frozen=True)
class SourceRanks:
    """The sources that found each candidate.

    Args:
        names: S sources.
        ranks: `[C, S]`, from 1; 0 where the source has not found the candidate.
        scores: `[C, S]`, on the scale of each source; NaN where it has not found the candidate.

    """

    names: tuple[str, ...]
    ranks: Indices
    scores: Floats

    @staticmethod
    def none(names: tuple[str, ...]) -> SourceRanks:
        """Return no candidates."""
        return SourceRanks(names, np.zeros((0, len(names)), np.int64), np.zeros((0, len(names))))

    @staticmethod
    def concatenate(parts: Sequence[SourceRanks]) -> SourceRanks:
        """Return the candidates of all parts, in order; at least one part, all of one recipe."""
        ranks, scores = [part.ranks for part in parts], [part.scores for part in parts]
        return SourceRanks(parts[0].names, np.concatenate(ranks), np.concatenate(scores))

    def take(self, at: Indices) -> SourceRanks:
        """Return the candidates at `at`, in that order."""
        return SourceRanks(self.names, self.ranks[at], self.scores[at])

    def of(self, row: int) -> dict[str, tuple[int, float]]:
        """Return {source: (rank, score)} of a candidate, in the order of the recipe.

        >>> found = merged(("a", "b"), [(np.array([7]), np.array([0.5])), (np.array([7, 8]),
        ...     np.array([3.0, 2.0]))], size=5)
        >>> found.sources.of(0), found.sources.of(1)
        ({'a': (1, 0.5), 'b': (1, 3.0)}, {'b': (2, 2.0)})
        """
        found = np.flatnonzero(self.ranks[row])
        return {self.names[i]: (int(self.ranks[row, i]), float(self.scores[row, i])) for i in found}

    def series(self) -> pl.Series:
        """Return the column `sources` `[C]`: a list of source, rank and score per candidate."""
        row, source = np.nonzero(self.ranks)
        struct = pl.DataFrame(
            {
                "source": np.array(self.names, dtype=np.str_)[source].tolist(),
                "rank": self.ranks[row, source].astype(np.int32),
                "score": self.scores[row, source],
            },
            schema={"source": pl.String, "rank": pl.Int32, "score": pl.Float64},
        )
        ends = np.searchsorted(row, np.arange(len(self.ranks) + 1)).astype(np.int64)
        lists = pa.LargeListArray.from_arrays(
            pa.array(ends), struct.to_struct("s").to_arrow(compat_level=pl.CompatLevel.oldest())
        )
        return pl.Series("sources", pl.from_arrow(lists))

    def extended(self, count: int) -> SourceRanks:
        """Return the candidates with `count` others behind them, which no source has found."""
        shape = count, len(self.names)
        return SourceRanks(
            self.names,
            np.concatenate([self.ranks, np.zeros(shape, np.int64)]),
            np.concatenate([self.scores, np.full(shape, np.nan)]),
        )


@dataclass(frozen=True)
class Merged:
    """Candidates of all sources, each once.

    Args:
        places: `[C]`, best first.
        scores: `[C]`, of the merge.
        sources: of the same candidates.

    """

    places: Indices
    scores: Floats
    sources: SourceRanks


def merged(names: tuple[str, ...], found: Sequence[Part], *, size: int) -> Merged:
    """Return the candidates of all sources by reciprocal rank fusion (Cormack et al. 2009).

    The score is Σ_s 1 / (60 + rank of the candidate in source s) over the sources that found it,
    since scores of different sources do not compare. Of equal scores, the better rank comes first,
    then the source that comes first.

    >>> a, b = (np.array([3, 5]), np.array([0.9, 0.8])), (np.array([5]), np.array([12.0]))
    >>> both = merged(("two_tower", "popular"), [a, b], size=10)
    >>> both.places.tolist(), both.scores.round(4).tolist()
    ([5, 3], [0.0325, 0.0164])

    Args:
        names: S sources.
        found: places and scores of each source, best first, each place once.
        size: maximum number of candidates.

    """
    every = np.concatenate([places for places, _ in found]).astype(np.int64)
    source = np.repeat(np.arange(len(found)), [len(places) for places, _ in found])
    places, row = np.unique(every, return_inverse=True)
    ranks = np.zeros((len(places), len(names)), dtype=np.int64)
    scores = np.full(ranks.shape, np.nan)
    if len(every):
        ranks[row, source] = np.concatenate([np.arange(1, len(p) + 1) for p, _ in found])
        scores[row, source] = np.concatenate([s for _, s in found])
    fused = np.where(ranks > 0, 1.0 / (_CONSTANT + ranks), 0.0).sum(axis=1)
    rank = np.where(ranks > 0, ranks, np.iinfo(np.int64).max)
    order = np.lexsort((rank.argmin(axis=1), rank.min(axis=1), -fused))[:size]
    return Merged(places[order], fused[order], SourceRanks(names, ranks[order], scores[order]))


def ranks_at(found: Indices, ranks: Indices, places: Indices) -> Indices:
    """Return the ranks `[n, S]` of items among those found; 0 for items that were not found.

    >>> ranks_at(np.array([7, 3]), np.array([[1], [2]]), np.array([3, 4])).tolist()
    [[2], [0]]

    Args:
        found: `[C]`, distinct.
        ranks: `[C, S]`.
        places: `[n]`.

    """
    order = np.argsort(found)
    at = np.searchsorted(found, places, sorter=order).clip(max=max(len(found) - 1, 0))
    if not len(found):
        return np.zeros((len(places), ranks.shape[1]), np.int64)
    rows = order[at]
    return np.where((found[rows] == places)[:, None], ranks[rows], 0).astype(np.int64)
