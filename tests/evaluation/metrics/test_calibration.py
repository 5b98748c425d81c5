import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from crosstower.errors import DataError
from crosstower.evaluation.metrics.calibration import (
    calibration_ratio,
    expected_calibration_error,
    reliability_curve,
)


def rows(n: int = 2000, seed: int = 0):
    random = np.random.default_rng(seed)
    p = random.beta(1, 6, n)
    return (random.random(n) < p).astype(float), p


@pytest.mark.parametrize("n_bins", [1, 7, 15])
def test_equal_mass_bins_are_those_of_scikit_learn(n_bins):
    y, p = rows()
    observed, predicted = calibration_curve(y, p, n_bins=n_bins, strategy="quantile")
    curve = reliability_curve(y, p, n_bins=n_bins)
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.prediction, predicted)
    assert curve.count.sum() == len(y)
    assert curve.count.max() - curve.count.min() <= 1


def test_equal_width_bins_divide_the_range():
    p = np.array([0.0, 0.1, 0.4, 0.9, 1.0])
    y = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    curve = reliability_curve(y, p, n_bins=2, bins="equal_width")
    np.testing.assert_allclose(curve.prediction, [0.5 / 3, 0.95])
    np.testing.assert_allclose(curve.observed, [1 / 3, 1.0])
    np.testing.assert_array_equal(curve.count, [3, 2])


def test_equal_predictions_share_a_bin():
    y = np.array([0.0, 1.0, 1.0, 0.0])
    curve = reliability_curve(y, np.full(4, 0.25), n_bins=15)
    np.testing.assert_allclose(curve.prediction, [0.25])
    np.testing.assert_allclose(curve.observed, [0.5])


@given(seed=st.integers(0, 999), levels=st.integers(1, 30))
def test_the_order_of_rows_does_not_matter(seed, levels):
    random = np.random.default_rng(seed)
    p = random.integers(0, levels, 60) / levels
    y = random.integers(0, 2, 60).astype(float)
    order = random.permutation(60)
    a, b = (expected_calibration_error(*pair) for pair in ((y, p), (y[order], p[order])))
    assert a == pytest.approx(b, abs=1e-12)


def test_calibration_error_of_a_known_bias():
    y, _ = rows()
    assert expected_calibration_error(y, np.full(len(y), y.mean() + 0.1)) == pytest.approx(0.1)


def test_calibration_error_of_true_probabilities_is_the_noise_stated():
    y, p = rows(200_000)
    rate = y.mean()
    noise = 0.8 * math.sqrt(15 * rate * (1 - rate) / len(y))
    assert 0.3 * noise < expected_calibration_error(y, p) < 2 * noise


def test_ratio_of_predicted_to_observed():
    y = np.array([0.0, 1.0, 0.0, 1.0])
    assert calibration_ratio(y, np.full(4, 0.6)) == pytest.approx(1.2)
    assert math.isnan(calibration_ratio(np.zeros(3), np.full(3, 0.1)))


def test_no_rows_give_no_bins_and_no_number():
    empty = np.empty(0)
    assert len(reliability_curve(empty, empty).count) == 0
    assert math.isnan(expected_calibration_error(empty, empty))
    assert math.isnan(calibration_ratio(empty, empty))


def test_no_bins_is_an_error():
    with pytest.raises(DataError, match="n_bins: expected at least 1, got 0"):
        reliability_curve(np.zeros(2), np.zeros(2), n_bins=0)
