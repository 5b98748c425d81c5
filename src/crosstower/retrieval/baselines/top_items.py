"""The best items of a baseline's scores, without those of the history."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crosstower.retrieval.baselines.baseline import Baseline, Histories, Scores
from crosstower.values.arrays import Indices

_ROWS = 1_024  # per block


def recommend(
    baseline: Baseline, histories: Histories, k: int, *, seen: tuple[Indices, Indices] | None = None
) -> Indices:
    """Return the k best items of each user, excluding the history.

    >>> import numpy as np
    >>> from crosstower.retrieval import Popularity, histories_of
    >>> histories = histories_of(np.array([0, 1, 2]), np.array([0, 0, 1]), shape=(3, 3))
    >>> recommend(Popularity.fit(histories), histories, k=2).tolist()
    [[1, 2], [1, 2], [0, 2]]

    Args:
        baseline: scores items.
        histories: `[Q, N]`.
        k: at least 1.
        seen: (row, item) pairs to exclude; the histories if None.

    Returns:
        `[Q, k]`, -1 if fewer items remain.

    """
    return best_items(
        lambda rows: baseline.scores(histories[rows]),
        rows=histories.shape[0],
        k=k,
        seen=histories.nonzero() if seen is None else seen,
    )


def best_items(
    score: Callable[[slice], Scores], *, rows: int, k: int, seen: tuple[Indices, Indices]
) -> Indices:
    """Return the k best items `[rows, k]`, -1 if fewer remain, computed in blocks of rows.

    Args:
        score: returns the scores `[block, N]` of a block of rows, which are overwritten.
        rows: number of rows.
        k: at least 1.
        seen: (row, item) pairs to exclude.

    """
    order = np.argsort(seen[0], kind="stable")
    row, item = seen[0][order], seen[1][order]
    shown = np.full((rows, k), -1, dtype=np.int64)
    for start in range(0, rows, _ROWS):
        scores = score(slice(start, start + _ROWS))
        first, last = np.searchsorted(row, [start, start + _ROWS])
        scores[row[first:last] - start, item[first:last]] = -np.inf
        best = _best(scores, min(k, scores.shape[1]))
        left = np.isfinite(np.take_along_axis(scores, best, 1))
        shown[start : start + len(best), : best.shape[1]] = np.where(left, best, -1)
    return shown


def _best(scores: Scores, k: int) -> Indices:
    """Return the positions of the k largest scores of each row, in falling order."""
    if k < scores.shape[1]:
        found = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    else:
        found = np.broadcast_to(np.arange(k), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, found, 1), axis=1, kind="stable")
    return np.take_along_axis(found, order, 1)
