"""Confidence sequences: published numbers, an integral, and paths that are looked at often."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from crosstower.errors import DataError
from crosstower.evaluation.experiments.confidence_sequences import (
    always_valid_p,
    half_width,
    needed_error,
)

RHO = 12.60056  # of confseq 0.0.11 for v_opt = 100 and alpha = 0.05: scale² = 1 / RHO


def test_the_interval_is_that_of_confseq() -> None:
    # uniform_boundaries_unittest.cpp: normal_mixture_bound(100, 0.05, 100, 0.05, two-sided).
    assert 100 * half_width(0.1, RHO**-0.5) == pytest.approx(30.35209, abs=1e-5)


def test_the_p_value_is_that_of_confseq() -> None:
    # The same file: normal_log_mixture(10, 100, ...) = -0.6510052, so no evidence: p is 1.
    variance, mixing = 0.01, 1 / RHO
    total = variance + mixing
    log_mixture = 0.1**2 * mixing / (2 * variance * total) - 0.5 * math.log(total / variance)
    assert log_mixture == pytest.approx(-0.6510052, abs=1e-6)
    assert always_valid_p(0.1, 0.1, mixing**0.5) == 1.0


@pytest.mark.parametrize(("estimate", "error", "scale"), [(0.4, 0.1, 0.2), (-1.5, 0.3, 2.0)])
def test_the_p_value_is_one_over_the_integrated_likelihood_ratio(
    estimate: float, error: float, scale: float
) -> None:
    def ratio(effect: float) -> float:
        alternative = stats.norm.pdf(estimate, effect, error)
        return alternative / stats.norm.pdf(estimate, 0, error) * stats.norm.pdf(effect, 0, scale)

    mixture = integrate.quad(ratio, -8 * scale, 8 * scale, points=[estimate])[0]
    assert always_valid_p(estimate, error, scale) == pytest.approx(1 / mixture, rel=1e-6)


@pytest.mark.parametrize("scale", [0.01, 0.1, 3.0])
def test_the_p_value_reaches_its_threshold_where_the_interval_reaches_zero(scale: float) -> None:
    edge = half_width(0.05, scale, level=0.9)
    assert always_valid_p(edge, 0.05, scale) == pytest.approx(0.1)
    assert always_valid_p(0.99 * edge, 0.05, scale) > 0.1 > always_valid_p(1.01 * edge, 0.05, scale)


def misses(scale: float, multiple: float | None = None) -> float:
    """Return the share of 2,000 random walks that leave the interval at any of 500 looks."""
    random = np.random.default_rng(3)
    steps = random.standard_normal((2_000, 500)) * 3.0
    looks = np.arange(1, 501)
    means, errors = steps.cumsum(axis=1) / looks, 3.0 / np.sqrt(looks)
    if multiple is None:
        reach = np.array([half_width(float(e), scale) for e in errors])
    else:
        reach = multiple * errors
    return float((np.abs(means) > reach).any(axis=1).mean())


@pytest.mark.parametrize("scale", [0.1, 0.5, 5.0])
def test_all_looks_together_miss_the_truth_at_most_as_often_as_stated(scale: float) -> None:
    assert misses(scale) <= 0.05


def test_a_fixed_interval_misses_far_more_often_when_it_is_looked_at_often() -> None:
    assert misses(1.0, multiple=1.96) > 0.3


def test_the_interval_is_never_narrower_than_that_of_a_single_look() -> None:
    for scale in np.geomspace(1e-4, 1e4, 50):
        assert half_width(1.0, float(scale)) > 1.96
    best = min(half_width(1.0, float(scale)) for scale in np.geomspace(0.1, 100, 400))
    assert best == pytest.approx(half_width(1.0, 2.82), rel=1e-4)  # τ = 2.8 s


def test_the_needed_error_has_the_power_it_promises() -> None:
    error = needed_error(0.05, 0.05, power=0.8)
    reach = half_width(error, 0.05)
    assert stats.norm.sf(reach, 0.05, error) == pytest.approx(0.8, abs=1e-9)
    assert needed_error(-0.05, 0.05) == error
    assert needed_error(0.05, 0.05, power=0.9) < error
    assert needed_error(0.05, 0.05, level=0.99) < error


def test_an_interval_without_spread_or_with_an_unknown_one() -> None:
    assert half_width(0.0, 0.1) == 0.0
    assert math.isnan(half_width(math.nan, 0.1))


@pytest.mark.parametrize(("scale", "level", "words"), [
    (0.0, 0.95, "scale: .* got 0.0"),
    (math.inf, 0.95, "scale: .* got inf"),
    (0.1, 1.0, "level: .* got 1.0"),
])  # fmt: skip
def test_wrong_arguments_are_named(scale: float, level: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        half_width(0.1, scale, level=level)


def test_no_sample_size_for_no_effect_or_certainty() -> None:
    with pytest.raises(DataError, match=r"got effect 0\.0"):
        needed_error(0.0, 0.1)
    with pytest.raises(DataError, match=r"power 1\.0"):
        needed_error(0.1, 0.1, power=1.0)
