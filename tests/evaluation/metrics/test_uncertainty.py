import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, root_mean_squared_error

from crosstower.evaluation.metrics.uncertainty import (
    auc_difference_error,
    auc_standard_error,
    bias_sds,
    mean_error,
    rmse_difference_error,
)


def test_chance_has_the_mann_whitney_variance():
    # Under chance without ties Var(U) = mn(m+n+1)/12; Hanley & McNeil's terms give exactly that.
    error = auc_standard_error(0.5, positives=40, negatives=70)
    assert error == pytest.approx(math.sqrt((40 + 70 + 1) / (12 * 40 * 70)))


def test_standard_error_is_the_spread_of_the_auc_over_samples():
    random = np.random.default_rng(0)
    y = np.repeat([1.0, 0.0], [100, 300])
    aucs = [roc_auc_score(y, random.exponential(1 + 1.5 * y)) for _ in range(400)]
    expected = auc_standard_error(float(np.mean(aucs)), positives=100, negatives=300)
    assert np.std(aucs) == pytest.approx(expected, rel=0.15)


def test_without_a_class_there_is_no_error():
    assert math.isnan(auc_standard_error(0.5, positives=0, negatives=10))
    assert auc_standard_error(1.0, positives=5, negatives=5) == 0.0
    one = np.array([1.0, 0.0, 0.0])
    assert math.isnan(auc_difference_error(one, one, one))


def looped_delong(y, a, b):
    """DeLong et al. 1988 from all pairs."""
    parts = []
    for p in (a, b):
        ahead = p[y == 1][:, None] - p[y == 0][None, :]
        parts.append((ahead > 0) + 0.5 * (ahead == 0))
    gap = parts[0] - parts[1]
    by_positive, by_negative = gap.mean(1), gap.mean(0)
    return math.sqrt(
        by_positive.var(ddof=1) / len(by_positive) + by_negative.var(ddof=1) / len(by_negative)
    )


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_difference_error_is_delongs(levels):
    random = np.random.default_rng(levels)
    y = (random.random(300) < 0.3).astype(float)
    a, b = (random.integers(0, levels, 300) + y for _ in range(2))
    assert auc_difference_error(y, a, b) == pytest.approx(looped_delong(y, a, b))
    assert auc_difference_error(y, a, a) == 0.0


def test_rmse_difference_error_is_the_bootstraps():
    random = np.random.default_rng(0)
    y = random.normal(size=800)
    a, b = y + random.normal(size=800), y + random.normal(size=800) * 1.2
    draws = (random.integers(0, 800, 800) for _ in range(400))
    gaps = [
        root_mean_squared_error(y[d], a[d]) - root_mean_squared_error(y[d], b[d]) for d in draws
    ]
    assert rmse_difference_error(y, a, b) == pytest.approx(np.std(gaps), rel=0.15)


def test_rmse_difference_error_of_too_few_rows_or_no_error():
    assert math.isnan(rmse_difference_error(np.ones(1), np.ones(1), np.ones(1)))
    assert rmse_difference_error(np.ones(3), np.ones(3), np.ones(3)) == 0.0


def test_the_bias_of_right_predictions_is_noise_and_that_of_wrong_ones_is_not():
    random = np.random.default_rng(0)
    right, wrong = list[float](), list[float]()
    for _ in range(400):
        p = random.beta(1, 12, 500)
        y = (random.random(500) < p).astype(float)
        right.append(bias_sds(y, p, probabilities=True))
        wrong.append(bias_sds(y, np.minimum(1.5 * p, 1.0), probabilities=True))
    assert np.mean(np.abs(right) > 2) < 0.08  # 0.046 by the normal law
    assert 0.85 < np.std(right) < 1.15
    assert np.mean(np.array(wrong) > 2) > 0.5


def test_rows_without_an_event_do_not_refute_a_small_probability():
    none = np.zeros(100)
    assert bias_sds(none, np.full(100, 0.01), probabilities=True) == pytest.approx(1.005, abs=0.01)
    assert bias_sds(none, np.full(100, 0.2), probabilities=True) == pytest.approx(5.0)


def test_the_ends_of_a_bias():
    y = np.array([1.0, 2.0])
    assert bias_sds(y, y, probabilities=False) == 0.0
    assert bias_sds(y, y + 1, probabilities=False) == np.inf
    assert np.isnan(bias_sds(y[:1], y[:1], probabilities=False))
    assert np.isnan(mean_error(y[:1], y[:1], probabilities=True))
