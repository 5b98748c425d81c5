import math

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn import metrics as sk

from crosstower.errors import DataError
from crosstower.evaluation.metrics.auc import group_auc
from crosstower.evaluation.metrics.tasks import (
    DEFAULT_METRIC,
    drop_missing,
    task_metrics,
)


def rows(n: int = 3000):
    random = np.random.default_rng(0)
    p = random.beta(1, 5, n)
    return (random.random(n) < p).astype(float), p, random.integers(0, 200, n)


def test_binary_metrics_are_those_of_scikit_learn():
    y, p, groups = rows()
    ours = task_metrics("binary", y, p, groups)
    assert ours["auc"] == pytest.approx(sk.roc_auc_score(y, p))
    assert ours["log_loss"] == pytest.approx(sk.log_loss(y, p))
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(y, p >= 0.5))
    assert ours["majority_rate"] == pytest.approx(1 - y.mean())
    assert ours["base_rate"] == pytest.approx(y.mean())
    assert ours["calibration_ratio"] == pytest.approx(p.mean() / y.mean())
    error = max(np.var(p - y, ddof=1), np.mean(p * (1 - p))) ** 0.5 / len(y) ** 0.5
    assert ours["bias_sds"] == pytest.approx((p.mean() - y.mean()) / error)
    assert ours["gauc"] == group_auc(y, p, groups).value


def test_majority_rate_counts_the_more_frequent_class():
    assert (
        task_metrics("binary", np.array([1.0, 1.0, 0.0]), np.full(3, 0.5))["majority_rate"] == 2 / 3
    )


def test_one_class_has_no_auc_and_no_normalised_entropy_but_a_log_loss():
    ours = task_metrics("binary", np.zeros(4), np.full(4, 0.25))
    assert math.isnan(ours["auc"])
    assert math.isnan(ours["normalised_entropy"])
    assert ours["log_loss"] == pytest.approx(-math.log(0.75))


def test_regression_metrics_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    y = random.normal(3, 2, 500)
    p = y + random.normal(0.1, 1, 500)
    ours = task_metrics("regression", y, p)
    assert ours["mae"] == pytest.approx(sk.mean_absolute_error(y, p))
    assert ours["rmse"] == pytest.approx(sk.root_mean_squared_error(y, p))
    always_mean = np.full(500, y.mean())
    assert ours["rmse_of_mean"] == pytest.approx(sk.root_mean_squared_error(y, always_mean))
    assert (ours["mean_label"], ours["mean_prediction"]) == (y.mean(), p.mean())
    test = stats.ttest_rel(p, y)
    assert ours["bias_sds"] == pytest.approx(test.statistic)


def test_equal_labels_have_no_spread():
    assert task_metrics("regression", np.full(7, 0.1), np.full(7, 0.2))["rmse_of_mean"] == 0.0


@pytest.mark.parametrize("kind", ["binary", "regression", "rating"])
def test_rows_without_a_label_change_nothing(kind):
    y, p, groups = rows()
    hidden = np.arange(len(y)) % 3 == 0
    seen = task_metrics(kind, y[~hidden], p[~hidden], groups[~hidden])
    assert task_metrics(kind, np.where(hidden, np.nan, y), p, groups) == seen


@pytest.mark.parametrize("kind", ["binary", "regression", "rating"])
def test_no_labels_at_all_give_nan_for_every_metric(kind):
    ours = task_metrics(kind, np.full(3, np.nan), np.full(3, 0.5))
    assert all(math.isnan(value) for value in ours.values())


def test_drop_missing_keeps_the_rows_together():
    y, p = np.array([1.0, np.nan, 0.0]), np.array([0.1, 0.2, 0.3])
    for groups in (np.array(["a", "b", "c"]), pl.Series(["a", "b", "c"])):
        labels, predictions, kept = drop_missing(y, p, groups)
        assert (labels.tolist(), predictions.tolist(), list(kept)) == (
            [1, 0],
            [0.1, 0.3],
            ["a", "c"],
        )
    assert drop_missing(y, p)[2] is None


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        ([0.0, 1.0], [0.5], "got 2 labels, 1 predictions"),
        ([0.0, 2.0], [0.5, 0.5], "label of 0 or 1 .* got 2.0 in row 1, 1 such rows"),
        ([0.0, 1.0], [0.5, -1.5], "not a logit, got -1.5 in row 1"),
        ([0.0, 1.0], [np.nan, 0.5], "probability .* got nan in row 0"),
    ],
)
def test_wrong_input_is_named(y, p, message):
    with pytest.raises(DataError, match=message):
        task_metrics("binary", np.array(y), np.array(p))


def test_a_regression_that_diverged_is_named():
    with pytest.raises(DataError, match="finite prediction, got inf in row 1"):
        task_metrics("regression", np.array([1.0, 2.0]), np.array([1.0, np.inf]))


def test_groups_of_another_length_are_named():
    with pytest.raises(DataError, match="2 labels, 2 predictions, 3 groups"):
        task_metrics("binary", np.zeros(2), np.zeros(2), np.zeros(3))


def test_the_default_metric_of_each_kind_is_computed():
    for kind, metric in DEFAULT_METRIC.items():
        assert metric in task_metrics(kind, np.array([0.0, 1.0]), np.array([0.4, 0.6]))
