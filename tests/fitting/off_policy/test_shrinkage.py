import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosstower.errors import DataError
from crosstower.fitting.off_policy.estimators import direct_method, doubly_robust
from crosstower.fitting.off_policy.shrinkage import (
    chosen_parameter,
    shrunk_doubly_robust,
    switch_doubly_robust,
)

BOTH = [switch_doubly_robust, shrunk_doubly_robust]


def a_log(seed, rows=60):
    """Return reward, propensity, target, predicted, predicted_target."""
    random = np.random.default_rng(seed)
    target = random.random(rows) * (random.random(rows) < 0.8)
    target[0] = 0.5
    return (
        random.normal(2.0, 1.0, rows),
        random.uniform(0.02, 1.0, rows),
        target,
        random.normal(2.0, 0.5, rows),
        random.normal(2.0, 0.5, rows),
    )


def weights_by(name, w, parameter):
    """The formulas of Wang et al. (2017) and Su et al. (2020), as Open Bandit Pipeline has them."""
    if name == "threshold":
        return w * (w <= parameter)
    if parameter in (0.0, math.inf):
        return w * (parameter > 0)
    return parameter * w / (w**2 + parameter)


@pytest.mark.parametrize("parameter", [0.3, 2.0, 40.0, math.inf])
@pytest.mark.parametrize(
    ("estimate", "name"),
    [(switch_doubly_robust, "threshold"), (shrunk_doubly_robust, "shrinkage")],
)
def test_values_errors_and_weights_are_those_of_the_formulas(estimate, name, parameter):
    r, p, t, q, v = a_log(3)
    found = estimate(r, p, t, q, v, **{name: parameter})
    w = weights_by(name, t / p, parameter)
    terms = v + w * (r - q)
    assert found.value == pytest.approx(terms.mean(), rel=1e-12)
    gaps = (t / p - w) * (r - q)
    error = math.hypot(stats.sem(terms), gaps.mean(), stats.sem(gaps))
    assert found.standard_error == pytest.approx(error, rel=1e-12)
    assert found.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert found.max_weight == pytest.approx((t / p).max())
    assert found.clipped == np.sum(w < t / p / 2)
    assert found.parameter == parameter


def test_values_are_those_of_open_bandit_pipeline():
    """Numbers of obp 0.5.5, SwitchDoublyRobust and DoublyRobustWithShrinkage with tuning."""
    row = np.arange(40)
    p, t = 0.05 + 0.9 * (row * 7 % 40) / 40, (row * 11 % 40) / 40
    r = (row * 13 % 5 < 2) * 1.0
    log = (r, p, t, 0.2 + 0.5 * (row * 3 % 40) / 40, 0.3 + 0.3 * (row * 17 % 40) / 40)
    switch = [switch_doubly_robust(*log, threshold=x).value for x in (0.5, 2.0)]
    shrunk = [shrunk_doubly_robust(*log, shrinkage=x).value for x in (0.5, 2.0)]
    assert switch == pytest.approx([0.4432245238275205, 0.41239325564296303], rel=1e-12)
    assert shrunk == pytest.approx([0.4382575516374123, 0.4259839401482092], rel=1e-12)
    # tuning_method="mse", use_bias_upper_bound=False, over the same candidates.
    chosen = [estimate(*log) for estimate in BOTH]
    values, parameters = zip(*[(c.value, c.parameter) for c in chosen], strict=True)
    assert values == pytest.approx([0.2263871298230872, 0.29697080952892124], rel=1e-12)
    assert parameters == pytest.approx([math.inf, 79.74582113681599], rel=1e-9)


@given(st.integers(0, 10_000), st.sampled_from(BOTH))
def test_parameters_run_from_the_direct_method_to_doubly_robust(seed, estimate):
    log = a_log(seed)
    name = "threshold" if estimate is switch_doubly_robust else "shrinkage"
    none, all_of_it = (estimate(*log, **{name: end}) for end in (0.0, math.inf))
    assert none.value == pytest.approx(direct_method(log[4]).value)
    assert none.clipped == np.sum(log[2] > 0)
    assert none.effective_sample_size == len(log[0])
    whole = doubly_robust(*log)
    assert (all_of_it.value, all_of_it.standard_error) == pytest.approx(
        (whole.value, whole.standard_error)
    )


@given(st.integers(0, 10_000), st.sampled_from(["threshold", "shrinkage"]))
def test_the_chosen_parameter_has_the_smallest_estimated_error(seed, name):
    r, p, t, q, v = a_log(seed)
    candidates = np.array([0.0, 0.2, 1.0, 5.0, 30.0, math.inf])
    chosen = chosen_parameter(t / p, r - q, v, lambda w, x: weights_by(name, w, x), candidates)

    def error(parameter):
        w = weights_by(name, t / p, parameter)
        bias = np.mean((t / p - w) * (r - q))
        return np.var(v + w * (r - q)) / len(r) + bias**2

    assert error(chosen) == pytest.approx(min(map(error, candidates)))


def test_a_large_weight_is_taken_out_where_the_model_is_good():
    random = np.random.default_rng(0)
    rows = 2000
    p = np.where(random.random(rows) < 0.01, 0.001, 0.5)
    r = random.normal(1.0, 1.0, rows)
    log = (r, p, np.full(rows, 0.5), np.ones(rows), np.ones(rows))
    whole = doubly_robust(*log)
    for estimate in BOTH:
        found = estimate(*log)
        assert found.max_weight == 500.0
        assert found.effective_sample_size > 20 * whole.effective_sample_size
        assert abs(found.value - 1.0) < abs(whole.value - 1.0) / 2
        assert found.standard_error < 1.2 * whole.standard_error


@pytest.mark.parametrize("wrong", [-1.0, math.nan])
def test_bad_parameters_are_named(wrong):
    with pytest.raises(DataError, match="expected a number of 0 or more"):
        switch_doubly_robust(*a_log(0), threshold=wrong)
    with pytest.raises(DataError, match="expected a number of 0 or more"):
        shrunk_doubly_robust(*a_log(0), shrinkage=wrong)
