"""Metrics of ranked lists out of a whole catalogue. NumPy only.

Shapes: Q queries, K places of a list, N items of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.values.arrays import Indices

Floats = NDArray[np.float64]


def list_metrics(
    shown: Indices, relevant: tuple[Indices, Indices], ks: Sequence[int] = (5, 10, 20)
) -> dict[str, Floats]:
    """Return {"METRIC@k": `[Q]`}, NaN for queries without a relevant item.

    - recall: relevant items among the first k, over all relevant ones
    - hit_rate: 1 if there is one
    - ndcg: DCG with gain 1 and discount log2(rank + 1), over that of the best list of length k
      (Järvelin & Kekäläinen 2002)
    - mrr: 1 over the rank of the first one, 0 if it is not among the first k
    - map: mean over the relevant items that fit into k of the precision at their rank

    >>> shown = np.array([[3, 1, 0]])
    >>> found = list_metrics(shown, (np.array([0, 0]), np.array([1, 2])), ks=[3])
    >>> {name: round(float(values[0]), 4) for name, values in found.items()}
    {'recall@3': 0.5, 'hit_rate@3': 1.0, 'ndcg@3': 0.3869, 'mrr@3': 0.5, 'map@3': 0.25}

    Args:
        shown: `[Q, K]` items by place in the catalogue, best first; -1 where a list is shorter. An
            item that is repeated counts where it is shown first; the other places are misses.
        relevant: (query, item) of every relevant item, each pair once.
        ks: lengths of the list to look at, at most K.

    Raises:
        DataError: a k is below 1 or above K, or a pair is there twice.

    """
    _check(shown, relevant, ks)
    hits = _hits(shown, relevant)  # [Q, K]
    counts = np.bincount(relevant[0], minlength=len(shown)).astype(np.float64)
    counts[counts == 0] = np.nan
    ranks = np.arange(1, shown.shape[1] + 1)
    discount = 1.0 / np.log2(ranks + 1)
    metrics: dict[str, Floats] = {}
    for k in ks:
        first = hits[:, :k]
        found, possible = first.sum(1), np.minimum(counts, k)
        known = np.where(np.isnan(counts), np.nan, 1.0)
        ideal = np.append(0.0, np.cumsum(discount[:k]))[np.nan_to_num(possible).astype(int)]
        precision = np.cumsum(first, 1) / ranks[:k]
        metrics |= {
            f"recall@{k}": found / counts,
            f"hit_rate@{k}": (found > 0) * known,
            f"ndcg@{k}": (first @ discount[:k]) / np.where(ideal > 0, ideal, np.nan),
            f"mrr@{k}": (first / ranks[:k]).max(1) * known,
            f"map@{k}": (precision * first).sum(1) / possible,
        }
    return metrics


def catalogue_metrics(
    shown: Indices, training_counts: NDArray[np.int64], ks: Sequence[int] = (5, 10, 20)
) -> dict[str, float]:
    """Return {"METRIC@k": number} about what is shown, whether it is relevant or not.

    - coverage: share of the catalogue that is in some list
    - popularity: mean number of training rows of the shown items
    - novelty: mean of -log2 of an item's share of the training rows (Zhou et al. 2010); an item
      without any counts as one row

    Args:
        shown: `[Q, K]`, as in `list_metrics`.
        training_counts: `[N]` training rows of each item.
        ks: lengths of the list to look at.

    """
    total = max(int(training_counts.sum()), 1)
    information = -np.log2(np.maximum(training_counts, 1) / total)
    metrics: dict[str, float] = {}
    for k in ks:
        items = shown[:, :k].ravel()
        items = items[items >= 0]
        empty = len(items) == 0
        metrics |= {
            f"coverage@{k}": len(np.unique(items)) / len(training_counts),
            f"popularity@{k}": float("nan") if empty else float(training_counts[items].mean()),
            f"novelty@{k}": float("nan") if empty else float(information[items].mean()),
        }
    return metrics


def _repeated(shown: Indices) -> NDArray[np.bool_]:
    """Return which places `[Q, K]` show an item that an earlier place of the list shows."""
    order = np.argsort(shown, axis=1, kind="stable")
    ordered = np.take_along_axis(shown, order, 1)
    again = np.zeros(shown.shape, dtype=np.bool_)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], 1)
    return again


def _hits(shown: Indices, relevant: tuple[Indices, Indices]) -> NDArray[np.bool_]:
    query, item = relevant
    width = int(max(shown.max(initial=0), item.max(initial=0))) + 1
    keys = np.arange(len(shown))[:, None] * width + shown
    return np.isin(keys, query * width + item) & (shown >= 0) & ~_repeated(shown)


def _check(shown: Indices, relevant: tuple[Indices, Indices], ks: Sequence[int]) -> None:
    for k in ks:
        if not 1 <= k <= shown.shape[1]:
            raise DataError(f"k: expected 1 to {shown.shape[1]}, the length of the lists, got {k}")
    pairs = np.stack(relevant, 1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        raise DataError("relevant items: a (query, item) pair is there twice; give each once")


def mean_metrics(
    shown: Indices,
    relevant: tuple[Indices, Indices],
    training_counts: NDArray[np.int64],
    ks: Sequence[int] = (5, 10, 20),
) -> dict[str, float]:
    """Return the means of `list_metrics` over the queries, and `catalogue_metrics`."""
    lists = list_metrics(shown, relevant, ks)
    means = {name: mean_known(values) for name, values in lists.items()}
    return means | catalogue_metrics(shown, training_counts, ks)


def mean_known(values: Floats) -> float:
    """Return the mean of what is not NaN; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
