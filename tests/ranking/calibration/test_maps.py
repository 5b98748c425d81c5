import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression

from crosstower.errors import DataError
from crosstower.ranking.calibration.maps import (
    Identity,
    Isotonic,
    Line,
    Map,
    Platt,
    fit_calibration_map,
    prior_corrected,
)


def distorted(n: int, slope: float, intercept: float, seed: int = 0):
    """Labels, and predictions from which σ(slope·logit + intercept) gets the true probability."""
    random = np.random.default_rng(seed)
    truth = random.beta(1, 6, n)
    y = (random.random(n) < truth).astype(float)
    return y, expit((logit(truth) - intercept) / slope), truth


def test_prior_correction_gets_back_what_left_out_negatives_hid():
    random = np.random.default_rng(0)
    level = random.integers(0, 5, 1_000_000)
    truth = np.array([0.01, 0.03, 0.1, 0.3, 0.6])
    y = random.random(len(level)) < truth[level]
    in_training = y | (random.random(len(level)) < 0.1)
    counts = np.bincount(level[in_training], minlength=5)
    seen = np.bincount(level[in_training], y[in_training], 5) / counts
    corrected = prior_corrected(seen, 0.1)
    error = corrected * (1 - corrected) / np.sqrt(counts * seen * (1 - seen))
    assert np.all(np.abs(corrected - truth) < 4 * error)
    assert np.all(seen - truth > 100 * error)  # without it the rates are far off
    assert corrected[level].mean() == pytest.approx(y.mean(), rel=0.01)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.floats(1e-3, 1),
)
def test_prior_correction_undoes_the_odds_of_kept_rows(truth, kept):
    p = np.array(truth)
    seen = p / (p + (1 - p) * kept)
    np.testing.assert_allclose(prior_corrected(seen, kept), p, atol=1e-12)


def test_prior_correction_refuses_what_is_no_share_and_no_probability():
    for kept in (0.0, 1.1, float("nan")):
        with pytest.raises(DataError, match=r"kept: expected the share .* in \(0, 1\], got"):
            prior_corrected(np.array([0.5]), kept)
    with pytest.raises(DataError, match=r"not a logit, got 1\.5 in row 1, 2 such rows"):
        prior_corrected(np.array([0.5, 1.5, np.nan]), 0.5)


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


def test_isotonic_pools_adjacent_violators():
    # By hand: {0}, {1, 0} and {1, 0} with mean 1/2 each, {1}.
    y = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    regression = fit_calibration_map("isotonic", "regression", y, p)
    assert regression == Isotonic(x=(0.1, 0.2, 0.5, 0.6), y=(0.0, 0.5, 0.5, 1.0))
    between = regression.apply(np.array([0.0, 0.15, 0.35, 0.55, 0.9]))
    np.testing.assert_allclose(between, [0.0, 0.25, 0.5, 0.75, 1.0])
    binary = fit_calibration_map("isotonic", "binary", y, p)
    assert binary == Isotonic(x=regression.x, y=(1 / 8, 0.5, 0.5, 7 / 8))


@pytest.mark.parametrize("levels", [20, None])
def test_isotonic_is_scikit_learns(levels):
    y, p, _ = distorted(5000, 0.7, 0.4)
    p = p if levels is None else np.round(p * levels) / levels
    new = np.random.default_rng(1).random(500)
    peer = IsotonicRegression(out_of_bounds="clip", y_min=1 / 5002, y_max=1 - 1 / 5002).fit(p, y)
    fitted = fit_calibration_map("isotonic", "binary", y, p)
    np.testing.assert_allclose(fitted.apply(new), peer.predict(new), atol=1e-12)


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


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize(("kind", "y"), [("binary", [0.0, 0.0, 1.0, 0.0]), ("regression", [2, 4])])
def test_one_prediction_for_all_becomes_the_mean(method, kind, y):
    y = np.array(y * 100, dtype=float)
    fitted = fit_calibration_map(method, kind, y, np.full(len(y), 0.7))
    assert fitted.apply(np.array([0.7]))[0] == pytest.approx(y.mean(), abs=0.003)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_falling_labels_give_no_map(method, kind):
    p = np.linspace(0.1, 0.9, 100)
    assert fit_calibration_map(method, kind, (p < 0.5).astype(float), p) is None


def test_without_a_method_predictions_stay():
    p = np.array([0.1, 0.9])
    fitted = fit_calibration_map("none", "binary", np.array([0.0, 1.0]), p)
    assert fitted == Identity()
    copy = fitted.apply(p)
    np.testing.assert_array_equal(copy, p)
    copy[0] = 0.5
    assert p[0] == 0.1


@given(
    seed=st.integers(0, 9999),
    kind=st.sampled_from(["binary", "regression", "rating"]),
    method=st.sampled_from(["platt", "isotonic"]),
    n=st.integers(2, 80),
)
def test_no_map_turns_an_order_round_and_json_keeps_it(seed, kind, method, n):
    random = np.random.default_rng(seed)
    p = random.choice([0.0, 1.0, *random.random(8)], n)
    y = (random.random(n) < p).astype(float) if kind == "binary" else random.normal(p, 0.5)
    fitted = fit_calibration_map(method, kind, y, p, (0.0, 1.0))
    if fitted is None:
        return
    applied = fitted.apply(np.sort(np.concatenate([p, random.random(50)])))
    assert np.all(np.diff(applied) >= -1e-12)
    assert np.all(np.isfinite(applied))
    if kind == "binary":
        assert applied.min() > 0
        assert applied.max() < 1
    adapter = TypeAdapter(Map)
    assert adapter.validate_json(adapter.dump_json(fitted)) == fitted


@pytest.mark.parametrize(
    "plain",
    [
        {"kind": "platt", "slope": -1.0, "intercept": 0.0},
        {"kind": "line", "slope": 0.0, "intercept": 0.0},
        {"kind": "platt", "slope": 1.0, "intercept": float("nan")},
        {"kind": "isotonic", "x": [], "y": []},
        {"kind": "isotonic", "x": [0.1, 0.2], "y": [0.1]},
        {"kind": "isotonic", "x": [0.2, 0.1], "y": [0.1, 0.2]},
        {"kind": "isotonic", "x": [0.1, 0.2], "y": [0.2, 0.1]},
        {"kind": "beta"},
    ],
)
def test_a_stored_map_that_no_fit_gives_is_refused(plain):
    with pytest.raises(ValidationError):
        TypeAdapter(Map).validate_python(plain)


@pytest.mark.parametrize("unit", [1e-12, 1e-4, 1.0, 1e9])
def test_the_line_of_a_number_does_not_depend_on_its_unit(unit):
    random = np.random.default_rng(0)
    p = random.normal(5.0, 2.0, 500)
    y = 3.0 * p - 4.0 + random.normal(size=500)
    line = fit_calibration_map("platt", "regression", y * unit, p * unit)
    slope, intercept = np.polyfit(p, y, 1)
    assert (line.slope, line.intercept / unit) == (pytest.approx(slope), pytest.approx(intercept))
