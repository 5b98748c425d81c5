import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats

from crosstower.blending.transforms import MAX_POINTS, FittedMap, fit_transform

RANDOM = np.random.default_rng(0)
P = RANDOM.beta(1, 4, 2_000)
TRANSFORMS = ("identity", "logit", "probit", "percentile", "standardise")


def test_probit_is_the_inverse_normal_distribution():
    found = fit_transform("probit", P, comparable=False).apply(P)
    np.testing.assert_allclose(found, stats.norm.ppf(P), rtol=1e-12)


def test_logit_is_that_of_the_formula():
    found = fit_transform("logit", P, comparable=False).apply(P)
    np.testing.assert_allclose(found, np.log(P) - np.log1p(-P), rtol=1e-12)


def test_identity_alone_changes_nothing():
    np.testing.assert_array_equal(fit_transform("identity", P, comparable=False).apply(P), P)


def test_standardise_is_the_z_score_of_the_fitted_rows():
    x = RANDOM.normal(300.0, 40.0, 500)
    found = fit_transform("standardise", x, comparable=False).apply(x[:9])
    np.testing.assert_allclose(found, stats.zmap(x[:9], x), rtol=1e-12)


@pytest.mark.parametrize("word", ["identity", "logit", "probit"])
def test_comparable_maps_are_standardised_after_the_transform(word):
    plain = fit_transform(word, P, comparable=False).apply(P)
    np.testing.assert_allclose(
        fit_transform(word, P, comparable=True).apply(P), stats.zscore(plain), rtol=1e-9, atol=1e-12
    )


@given(seed=st.integers(0, 9999), levels=st.integers(1, 30), n=st.integers(1, 200))
def test_percentile_is_that_of_scipy_with_and_without_ties(seed, levels, n):
    random = np.random.default_rng(seed)
    fitted, scored = random.integers(0, levels, n) / levels, random.integers(-1, 31, 50) / levels
    found = fit_transform("percentile", fitted, comparable=True).apply(scored)
    oracle = stats.percentileofscore(fitted, scored, kind="mean") / 100.0
    np.testing.assert_allclose(found, oracle, rtol=1e-12, atol=1e-15)


def test_long_data_are_kept_as_quantiles_that_are_values_of_the_data():
    x = RANDOM.normal(size=2**15)  # a power of two: NumPy's own quantile is exact there
    points = np.array(fit_transform("percentile", x, comparable=False).points)
    ends = np.linspace(0.0, 1.0, MAX_POINTS)
    np.testing.assert_array_equal(points, np.quantile(x, ends, method="inverted_cdf"))
    odd = RANDOM.normal(size=123_457)
    fitted = fit_transform("percentile", odd, comparable=False)
    assert len(fitted.points) == MAX_POINTS
    assert set(fitted.points) <= set(odd)
    scored = RANDOM.normal(size=300)
    oracle = stats.percentileofscore(odd, scored, kind="mean") / 100.0
    np.testing.assert_allclose(fitted.apply(scored), oracle, atol=1.0 / (MAX_POINTS - 1))


@given(seed=st.integers(0, 9999), n=st.sampled_from([1, 7, 300, MAX_POINTS + 50]))
def test_percentile_does_not_see_a_strictly_increasing_change(seed, n):
    random = np.random.default_rng(seed)
    x = random.integers(0, 500, n + 40) / 7.0
    places = np.searchsorted(np.unique(x), x)
    # Steps of 2e-5 or more of the number itself: nearer ones would tie.
    above = np.cumprod(random.uniform(1.00002, 1.2, 250)) * 10.0 ** random.integers(-9, 9)
    changed = np.concatenate([-above[::-1], [0.0], above])[places]
    before, after = (
        fit_transform("percentile", v[:n], comparable=True).apply(v[n:]) for v in (x, changed)
    )
    np.testing.assert_array_equal(before, after)


@given(seed=st.integers(0, 9999), scale=st.sampled_from([1e-30, 1e-6, 1.0, -1.0, -1e9]))
def test_a_row_stays_in_the_middle_of_its_ties_whatever_the_last_bits(seed, scale):
    random = np.random.default_rng(seed)
    levels = scale * np.cumprod(random.uniform(1.001, 1.1, 40))
    level = random.integers(0, 40, 300)

    def in_some_batch(rows):
        bits = random.integers(-4, 5, len(rows))
        return levels[rows].astype(np.float32) * (1.0 + bits * 2.0**-23)

    exact = fit_transform("percentile", levels[level], comparable=True).apply(levels)
    fitted = fit_transform("percentile", in_some_batch(level), comparable=True)
    np.testing.assert_array_equal(fitted.apply(in_some_batch(np.arange(40))), exact)


def test_predictions_tie_within_six_digits_and_zero_with_itself_only():
    fitted = fit_transform("percentile", np.array([-2.0, -1e-12, 0.0, 1e-12, 2.0]), comparable=True)
    near = np.array([-2.000008, -1.999992, -1e-13, 0.0, 1e-13, 1.999992, 2.000008])
    np.testing.assert_allclose(fitted.apply(near), [0.1, 0.1, 0.4, 0.5, 0.6, 0.9, 0.9])
    far = np.array([-2.00002, -1.99998, 1.99998, 2.00002])
    np.testing.assert_allclose(fitted.apply(far), [0.0, 0.2, 0.8, 1.0])


@given(seed=st.integers(0, 9999))
def test_a_percentile_never_falls(seed):
    random = np.random.default_rng(seed)
    x = random.choice([-1.0, 1.0], 400) * random.choice([1.0, 1e-3], 400)
    x = np.sort(np.append(x * (1.0 + random.normal(0.0, 5e-6, 400)), [0.0, -0.0]))
    applied = fit_transform("percentile", x[::2], comparable=True).apply(x)
    assert (np.diff(applied) >= 0.0).all()
    assert len(np.unique(applied)) > 4


@pytest.mark.parametrize("comparable", [True, False])
@pytest.mark.parametrize("word", TRANSFORMS)
@pytest.mark.parametrize("value", [0.0, 0.1, 1.0])
def test_a_constant_and_sure_predictions_stay_finite(word, value, comparable):
    fitted = fit_transform(word, np.full(1_000, value), comparable=comparable)
    assert np.isfinite(fitted.apply(np.array([0.0, value, 1.0]))).all()
    if word == "standardise" or (comparable and word != "percentile"):
        np.testing.assert_array_equal(fitted.apply(np.array([value, 0.7])), 0.0)
    if word == "percentile":
        np.testing.assert_array_equal(fitted.apply(np.array([value])), 0.5)


def test_clipping_is_at_one_in_ten_million():
    fitted = fit_transform("probit", P, comparable=False)
    edge = stats.norm.ppf(1e-7)
    np.testing.assert_allclose(fitted.apply(np.array([0.0, 1e-9, 1.0])), [edge, edge, -edge])


@pytest.mark.parametrize("word", TRANSFORMS)
def test_a_map_comes_back_from_json_as_it_was(word):
    adapter = TypeAdapter(FittedMap)
    fitted = fit_transform(word, P, comparable=True)
    assert adapter.validate_json(adapter.dump_json(fitted)) == fitted


def test_single_precision_is_computed_in_double():
    x = P.astype(np.float32)
    found = fit_transform("logit", x, comparable=True).apply(x)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(
        found, fit_transform("logit", x.astype(float), comparable=True).apply(x)
    )


@pytest.mark.parametrize("transform", ["standardise", "identity", "logit", "probit"])
def test_a_constant_with_noise_in_its_last_digits_is_constant(transform):
    x = 0.25 * (1 + 1e-7 * np.arange(5))
    assert (fit_transform(transform, x, comparable=True).apply(x) == 0.0).all()
    spread = 0.25 * (1 + 1e-3 * np.arange(5))
    assert np.ptp(fit_transform(transform, spread, comparable=True).apply(spread)) > 2


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_numbers_far_from_zero_tie_by_their_range_not_by_their_size(sign):
    """Two hours of a date in seconds are 4e-6 of its size."""
    dates = sign * (1.7e9 + 7200.0 * np.arange(5))
    fitted = fit_transform("percentile", dates, comparable=True)
    expected = [0.1, 0.3, 0.5, 0.7, 0.9][:: int(sign)]
    np.testing.assert_allclose(fitted.apply(dates), expected)
    pair = dates[:2]
    np.testing.assert_allclose(
        np.sort(fit_transform("percentile", pair, comparable=True).apply(pair)), [0.25, 0.75]
    )


@pytest.mark.parametrize("word", ["identity", "standardise"])
def test_numbers_far_from_zero_are_no_constant(word):
    dates = 1.7e9 + 7200.0 * np.arange(2)
    np.testing.assert_allclose(
        fit_transform(word, dates, comparable=True).apply(dates), [-1.0, 1.0]
    )


@given(
    offset=st.sampled_from([0.0, 1.0, 1e3, 9e3]),
    unit=st.sampled_from([1e-3, 1.0, 1e4]),
    seed=st.integers(0, 999),
)
def test_percentiles_keep_their_order_under_a_shift_and_another_unit(offset, unit, seed):
    """Values 1 % of their range apart stay apart where float32 can tell them apart."""
    random = np.random.default_rng(seed)
    x = random.permutation(100) / 100.0
    shifted = (x + offset) * unit
    before, after = (fit_transform("percentile", v, comparable=True).apply(v) for v in (x, shifted))
    np.testing.assert_array_equal(before, after)
