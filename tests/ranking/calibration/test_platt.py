import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LinearRegression, LogisticRegression

from crosstower.ranking.calibration.maps import fit_calibration_map
from crosstower.ranking.calibration.platt import Line, Platt


def distorted(n: int, slope: float, intercept: float, seed: int = 0):
    """Labels, and predictions from which σ(slope·logit + intercept) gets the true probability."""
    random = np.random.default_rng(seed)
    truth = random.beta(1, 6, n)
    y = (random.random(n) < truth).astype(float)
    return y, expit((logit(truth) - intercept) / slope), truth


def test_platt_recovers_a_logistic_distortion():
    y, p, truth = distorted(200_000, 0.6, -0.8)
    fitted = fit_calibration_map("platt", "binary", y, p)
    assert isinstance(fitted, Platt)
    assert fitted.slope == pytest.approx(0.6, abs=0.02)
    assert fitted.intercept == pytest.approx(-0.8, abs=0.05)
    np.testing.assert_allclose(fitted.apply(p), truth, atol=0.02)


def platt_targets(y):
    positives, negatives = y.sum(), (1 - y).sum()
    return np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


@pytest.mark.parametrize(("n", "slope", "intercept"), [(60, 1.0, 0.0), (3000, 2.5, -3.0)])
def test_platt_is_the_most_likely_map_by_other_minimisers(n, slope, intercept):
    y, p, _ = distorted(n, slope, intercept)
    x, t = logit(p), platt_targets(y)

    def cost(w):
        q = expit(w[0] * x + w[1])
        return -np.sum(t * np.log(q) + (1 - t) * np.log(1 - q))

    fitted = fit_calibration_map("platt", "binary", y, p)
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    found = minimize(cost, [1.0, 0.0], method="Nelder-Mead", options=options).x
    np.testing.assert_allclose([fitted.slope, fitted.intercept], found, rtol=1e-5)
    peer = LogisticRegression(C=np.inf, tol=1e-10, solver="newton-cholesky").fit(
        np.concatenate([x, x])[:, None],
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([t, 1 - t]),
    )
    np.testing.assert_allclose(
        [fitted.slope, fitted.intercept], [peer.coef_[0, 0], peer.intercept_[0]], rtol=1e-5
    )


def test_platt_of_rare_positives_far_from_the_base_rate():
    random = np.random.default_rng(0)
    truth = np.exp(random.normal(-8, 1, 300_000))
    y = (random.random(len(truth)) < truth).astype(float)
    fitted = fit_calibration_map("platt", "binary", y, expit(logit(truth) + 6))
    assert fitted.slope == pytest.approx(1, abs=0.15)
    assert fitted.apply(expit(logit(truth) + 6)).mean() == pytest.approx(y.mean(), rel=0.02)


def test_platt_stays_finite_where_predictions_part_the_classes_with_certainty():
    y = np.repeat([0.0, 1.0], 50)
    fitted = fit_calibration_map("platt", "binary", y, y)
    low, high = fitted.apply(np.array([0.0, 1.0]))
    assert low == pytest.approx(1 / 52)  # Platt's targets
    assert high == pytest.approx(51 / 52)


def test_a_number_gets_the_line_of_least_squares():
    random = np.random.default_rng(0)
    p = random.normal(50, 20, 2000)
    y = 0.7 * p + 12 + random.normal(0, 5, 2000)
    fitted = fit_calibration_map("platt", "regression", y, p)
    peer = LinearRegression().fit(p[:, None], y)
    assert isinstance(fitted, Line)
    np.testing.assert_allclose(fitted.apply(p), peer.predict(p[:, None]))


def test_a_rating_stays_on_its_scale():
    p = np.array([2.0, 3.0, 4.0])
    fitted = fit_calibration_map("platt", "rating", np.array([1.0, 3.0, 5.0]), p, (1.0, 5.0))
    np.testing.assert_allclose(fitted.apply(np.array([1.0, 2.5, 5.0])), [1.0, 2.0, 5.0])


@pytest.mark.parametrize("unit", [1e-12, 1e-4, 1.0, 1e9])
def test_the_line_of_a_number_does_not_depend_on_its_unit(unit):
    random = np.random.default_rng(0)
    p = random.normal(5.0, 2.0, 500)
    y = 3.0 * p - 4.0 + random.normal(size=500)
    line = fit_calibration_map("platt", "regression", y * unit, p * unit)
    slope, intercept = np.polyfit(p, y, 1)
    assert (line.slope, line.intercept / unit) == (pytest.approx(slope), pytest.approx(intercept))
