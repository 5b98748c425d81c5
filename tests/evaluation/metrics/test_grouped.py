import math
from itertools import pairwise, permutations

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import ndcg_score

from crosstower.evaluation.metrics.grouped import reciprocal_rank_per_group
from crosstower.evaluation.metrics.tasks import task_metrics

RANDOM = np.random.default_rng(4)


def brute(score: np.ndarray, relevant: np.ndarray, k: int) -> float:
    """The mean over all orders of tied rows."""
    orders = [
        order
        for order in permutations(range(len(score)))
        if all(score[a] >= score[b] for a, b in pairwise(order))
    ]
    ranks = [next(r for r, row in enumerate(o, 1) if relevant[row]) for o in orders]
    return float(np.mean([1 / rank if rank <= k else 0.0 for rank in ranks]))


@pytest.mark.parametrize("k", [1, 2, 10])
def test_a_reciprocal_rank_is_the_mean_over_all_orders_of_ties(k: int) -> None:
    groups, score, relevant, expected = [], [], [], []
    for group in range(25):
        rows = int(RANDOM.integers(1, 7))
        own, labels = RANDOM.integers(0, 3, rows), (RANDOM.random(rows) < 0.4).astype(int)
        groups += [group] * rows
        score, relevant = [*score, *own], [*relevant, *labels]
        if labels.any():
            expected.append(brute(own, labels, k))
    found = reciprocal_rank_per_group(np.array(groups), np.array(score), np.array(relevant), k)
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert found.left_out == 25 - len(expected)


def test_metrics_of_groups_are_means_over_groups_with_a_positive() -> None:
    groups = np.repeat([0, 1, 2], [15, 4, 3])
    p, y = RANDOM.random(22), (RANDOM.random(22) < 0.4).astype(float)
    y[[0, 15]], y[19:] = 1.0, 0.0
    found = task_metrics("binary", y, p, groups)
    rows = [groups == group for group in (0, 1)]
    expected = [ndcg_score([y[r]], [p[r]], k=10) for r in rows]
    assert found["ndcg@10"] == pytest.approx(np.mean(expected))
    ranks = [1 / (1 + np.flatnonzero(y[r][np.argsort(-p[r])])[0]) for r in rows]
    assert found["mrr@10"] == pytest.approx(np.mean(ranks))


def test_grades_of_a_rating_are_gains() -> None:
    groups, p, y = np.zeros(6), RANDOM.random(6), RANDOM.integers(0, 5, 6).astype(float)
    found = task_metrics("rating", y, p, groups)
    assert found["ndcg@10"] == pytest.approx(ndcg_score([y], [p], k=10))
    assert "mrr@10" not in found
    assert math.isnan(task_metrics("rating", y - 3, p, groups)["ndcg@10"])


def test_without_groups_or_for_a_number_there_is_no_order() -> None:
    assert "ndcg@10" not in task_metrics("binary", np.ones(2), np.ones(2))
    assert "ndcg@10" not in task_metrics("regression", np.ones(2), np.ones(2), np.zeros(2))


def test_no_rows_have_no_groups() -> None:
    found = reciprocal_rank_per_group(pl.Series([], dtype=pl.Int64), np.empty(0), np.empty(0), 3)
    assert (found.counted, found.left_out) == (0, 0)
