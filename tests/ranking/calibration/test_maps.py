import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from crosstower.errors import DataError
from crosstower.ranking.calibration.maps import Identity, Map, fit_calibration_map, prior_corrected


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
