import math

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error, roc_auc_score

from crosstower.errors import DataError
from crosstower.evaluation.metrics.tasks import task_metrics
from crosstower.evaluation.metrics.weighted import cluster_auc, weighted_auc, weighted_mean

RANDOM = np.random.default_rng(2)
Y = (RANDOM.random(200) < 0.4).astype(float)
P = RANDOM.random(200).round(1).clip(0.05, 0.95)  # with ties
W = RANDOM.random(200) * 3


def test_metrics_of_weighted_rows_are_those_of_sklearn() -> None:
    found = task_metrics("binary", Y, P, None, W)
    assert found["weighted_log_loss"] == pytest.approx(log_loss(Y, P, sample_weight=W))
    assert found["weighted_auc"] == pytest.approx(roc_auc_score(Y, P, sample_weight=W))
    found = task_metrics("regression", Y, P, None, W)
    assert found["weighted_rmse"] ** 2 == pytest.approx(mean_squared_error(Y, P, sample_weight=W))


def test_equal_weights_give_the_metrics_without_weights() -> None:
    found = task_metrics("binary", Y, P, None, np.full(200, 0.7))
    assert found["weighted_log_loss"] == pytest.approx(found["log_loss"])
    assert found["weighted_auc"] == pytest.approx(found["auc"])


def test_a_row_of_weight_3_counts_as_three_rows() -> None:
    weights = RANDOM.integers(0, 4, 200)
    y, p = np.repeat(Y, weights), np.repeat(P, weights)
    found, repeated = task_metrics("binary", Y, P, None, weights), task_metrics("binary", y, p)
    assert found["weighted_auc"] == pytest.approx(repeated["auc"])
    assert found["weighted_log_loss"] == pytest.approx(repeated["log_loss"])


def test_rows_of_a_cluster_have_its_weight() -> None:
    clusters, weights = RANDOM.integers(0, 9, 200), RANDOM.random(9)
    expected = roc_auc_score(Y, P, sample_weight=weights[clusters])
    assert cluster_auc(Y, P, clusters)(weights) == pytest.approx(expected)


def test_rows_without_a_label_and_tasks_without_weights_are_left_out() -> None:
    y = np.where(np.arange(200) < 50, np.nan, Y)
    found = task_metrics("binary", y, P, None, W)
    assert found == task_metrics("binary", Y[50:], P[50:], None, W[50:])
    assert not any(name.startswith("weighted") for name in task_metrics("binary", Y, P))


def test_without_weight_there_is_no_value() -> None:
    assert math.isnan(weighted_mean(np.ones(2), np.zeros(2)))
    assert math.isnan(weighted_auc(np.array([0, 1]), np.array([0.1, 0.2]), np.array([0.0, 1.0])))


@pytest.mark.parametrize("wrong", [-0.5, np.nan])
def test_a_negative_or_missing_weight_is_refused_with_its_row(wrong: float) -> None:
    weights = np.where(np.arange(200) == 7, wrong, 1.0)
    with pytest.raises(DataError, match=rf"weight of at least 0, got {wrong} in row 7"):
        task_metrics("binary", Y, P, None, weights)


def test_a_weight_per_label_is_needed() -> None:
    with pytest.raises(DataError, match="one weight a label, got 3 and 200"):
        task_metrics("binary", Y, P, None, np.ones(3))
