"""Metrics of ranked lists out of a whole catalogue. NumPy only.

Shapes: Q queries, K places of a list, N items of the catalogue.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.evaluation.metrics.registry import (
    RankedLists,
    ShownItems,
    metrics_of,
    number_of,
    numbers_of,
    register_metric,
)
from crosstower.values.arrays import Floats, Indices


def list_metrics(
    shown: Indices, relevant: tuple[Indices, Indices], ks: Sequence[int] = (5, 10, 20)
) -> dict[str, Floats]:
    """Return {"METRIC@k": `[Q]`} of every registered metric of lists.

    NaN for queries without a relevant item.

    >>> shown = np.array([[3, 1, 0]])
    >>> found = list_metrics(shown, (np.array([0, 0]), np.array([1, 2])), ks=[3])
    >>> {name: round(float(values[0]), 4) for name, values in found.items()}
    {'recall@3': 0.5, 'ndcg@3': 0.3869, 'mrr@3': 0.5, 'hit_rate@3': 1.0, 'map@3': 0.25}

    Args:
        shown: `[Q, K]` items by place in the catalogue, best first; -1 where a list is shorter. An
            item that is repeated counts where it is shown first; the other places are misses.
        relevant: (query, item) of every relevant item, each pair once.
        ks: lengths of the list to look at, at most K.

    Raises:
        DataError: a k is below 1 or above K, or a pair occurs twice.

    """
    _check(shown, relevant, ks)
    hits = _hits(shown, relevant)  # [Q, K]
    counts = np.bincount(relevant[0], minlength=len(shown)).astype(np.float64)
    counts[counts == 0] = np.nan
    found = metrics_of("list")
    return {
        f"{metric.name}@{k}": numbers_of(metric, RankedLists(hits[:, :k], counts))
        for k in ks
        for metric in found
    }


@register_metric("recall", kinds=("list",), title="Recall", better="higher")
def recall(lists: RankedLists) -> Floats:
    """Return relevant items among the first k over all relevant ones `[Q]`."""
    return lists.hits.sum(1) / lists.relevant


@register_metric(
    "ndcg",
    kinds=("list",),
    title="NDCG",
    better="higher",
    shown=("report", "table", "card", "funnel", "curve"),
)
def ndcg(lists: RankedLists) -> Floats:
    """Return the DCG over that of the best list of length k `[Q]`.

    Gain 1, discount log2(rank + 1): Järvelin & Kekäläinen 2002.
    """
    k = lists.hits.shape[1]
    discount = 1.0 / np.log2(np.arange(1, k + 1) + 1)
    possible = np.nan_to_num(np.minimum(lists.relevant, k)).astype(int)
    ideal = np.append(0.0, np.cumsum(discount))[possible]
    return (lists.hits @ discount) / np.where(ideal > 0, ideal, np.nan)


@register_metric(
    "mrr",
    kinds=("list",),
    title="MRR",
    better="higher",
    shown=("report", "table", "card", "funnel"),
)
def mrr(lists: RankedLists) -> Floats:
    """Return 1 over the rank of the first relevant item, 0 if none is among the first k `[Q]`."""
    return (lists.hits / np.arange(1, lists.hits.shape[1] + 1)).max(1)


@register_metric(
    "hit_rate", kinds=("list",), title="Hit rate", better="higher", shown=("report", "funnel")
)
def hit_rate(lists: RankedLists) -> Floats:
    """Return 1 if a relevant item is among the first k, 0 otherwise `[Q]`."""
    return (lists.hits.sum(1) > 0).astype(np.float64)


@register_metric("map", kinds=("list",), title="MAP", better="higher", shown=("report",))
def mean_average_precision(lists: RankedLists) -> Floats:
    """Return the mean, over the relevant items that fit into k, of the precision at their rank."""
    k = lists.hits.shape[1]
    precision = np.cumsum(lists.hits, 1) / np.arange(1, k + 1)
    return (precision * lists.hits).sum(1) / np.minimum(lists.relevant, k)


def catalogue_metrics(
    shown: Indices, training_counts: NDArray[np.int64], ks: Sequence[int] = (5, 10, 20)
) -> dict[str, float]:
    """Return {"METRIC@k": number} of every registered metric of the items shown.

    >>> found = catalogue_metrics(np.array([[0, 1], [0, 2]]), np.array([9, 3, 1, 1]), ks=[2])
    >>> found["coverage@2"]
    0.75

    Args:
        shown: `[Q, K]`, as in `list_metrics`.
        training_counts: `[N]`, number of training rows of each item.
        ks: list lengths, at most K.

    """
    found = metrics_of("catalogue")
    return {
        f"{metric.name}@{k}": number_of(metric, ShownItems(shown[:, :k], training_counts))
        for k in ks
        for metric in found
    }


@register_metric("coverage", kinds=("catalogue",), title="Coverage")
def coverage(shown: ShownItems) -> float:
    """Return the share of the catalogue that is in some list."""
    items = shown.items[shown.items >= 0]
    return len(np.unique(items)) / len(shown.training_counts)


@register_metric("popularity", kinds=("catalogue",), title="Popularity", shown=("report",))
def popularity(shown: ShownItems) -> float:
    """Return the mean number of training rows of the shown items."""
    items = shown.items[shown.items >= 0]
    return float(shown.training_counts[items].mean()) if len(items) else float("nan")


@register_metric("novelty", kinds=("catalogue",), title="Novelty", shown=("report", "table"))
def novelty(shown: ShownItems) -> float:
    """Return the mean of -log2 of an item's share of the training rows (Zhou et al. 2010).

    An item without any counts as one row.
    """
    items, counts = shown.items[shown.items >= 0], shown.training_counts
    total = max(int(counts.sum()), 1)
    information = -np.log2(np.maximum(counts, 1) / total)
    return float(information[items].mean()) if len(items) else float("nan")


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
        raise DataError("relevant items: a (query, item) pair appears twice; give each once")


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
    """Return the mean of the values that are not NaN; NaN without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
