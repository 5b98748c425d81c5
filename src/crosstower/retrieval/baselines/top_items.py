"""The best items of a baseline's scores, without those of the history."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crosstower.retrieval.baselines.baseline import Baseline, Histories, Scores
from crosstower.values.arrays import Indices

_ROWS, _CELLS = 1_024, 1 << 26  # of scores per block


def recommend(
    baseline: Baseline,
    histories: Histories,
    k: int,
    *,
    seen: tuple[Indices, Indices] | None = None,
    counts: Indices | None = None,
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
        counts: `[N]`, training rows of the items: of two with one score, such as all items for an
            empty history, the more popular one comes first. By their places if None.

    Returns:
        `[Q, k]`, -1 if fewer items remain.

    """
    return best_items(
        lambda rows: baseline.scores(histories[rows]),
        rows=histories.shape[0],
        k=k,
        seen=histories.nonzero() if seen is None else seen,
        counts=counts,
    )


def best_items(
    score: Callable[[slice], Scores],
    *,
    rows: int,
    k: int,
    seen: tuple[Indices, Indices],
    counts: Indices | None = None,
) -> Indices:
    """Return the k best items `[rows, k]`, -1 if fewer remain, computed in blocks of rows.

    Args:
        score: returns the scores `[block, N]` of a block of rows, which are overwritten.
        rows: number of rows.
        k: at least 1.
        seen: (row, item) pairs to exclude.
        counts: `[N]`, see `recommend`.

    """
    popular = None if counts is None else np.argsort(-counts, kind="stable")
    block = _ROWS if counts is None else max(min(_ROWS, _CELLS // max(len(counts), 1)), 1)
    order = np.argsort(seen[0], kind="stable")
    row, item = seen[0][order], seen[1][order]
    shown = np.full((rows, k), -1, dtype=np.int64)
    for start in range(0, rows, block):
        scores = score(slice(start, start + block))
        first, last = np.searchsorted(row, [start, start + block])
        scores[row[first:last] - start, item[first:last]] = -np.inf
        best = _best(scores, min(k, scores.shape[1]), popular)
        left = np.isfinite(np.take_along_axis(scores, best, 1))
        shown[start : start + len(best), : best.shape[1]] = np.where(left, best, -1)
    return shown


def _best(scores: Scores, k: int, popular: Indices | None) -> Indices:
    """Return the positions of the k largest scores of each row, in falling order.

    Equal scores come in the order of `popular` `[N]`, of their positions if None.
    """
    ranked = scores if popular is None else scores[:, popular]
    if k < ranked.shape[1]:
        found = np.sort(np.argpartition(-ranked, k - 1, axis=1)[:, :k], axis=1)
        _settle_ties(ranked, found)
    else:
        found = np.broadcast_to(np.arange(k), ranked.shape)
    order = np.argsort(-np.take_along_axis(ranked, found, 1), axis=1, kind="stable")
    best = np.take_along_axis(found, order, 1)
    return best if popular is None else popular[best]


def _settle_ties(scores: Scores, found: Indices) -> None:
    """Where items in and behind the k found ones have one score, take the first of them."""
    least = np.take_along_axis(scores, found, 1).min(1, keepdims=True)
    k = found.shape[1]
    for row in np.flatnonzero((scores >= least).sum(1) > k).tolist():
        above = np.flatnonzero(scores[row] > least[row])
        equal = np.flatnonzero(scores[row] == least[row])
        found[row] = np.sort(np.concatenate([above, equal[: k - len(above)]]))
