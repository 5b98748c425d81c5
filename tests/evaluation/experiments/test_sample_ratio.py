"""Sample ratios against SciPy, ssrm-test, and users counted one by one."""

import math

import numpy as np
import pytest
from scipy import stats

from crosstower.errors import DataError
from crosstower.evaluation.experiments.sample_ratio import log_e_value, sample_ratio


@pytest.mark.parametrize(
    ("counts", "shares", "concentration", "expected"),
    [  # log of sequential_bayes_factors of ssrm-test 0.1.5
        ([5050, 4950], [0.5, 0.5], 10, -2.97975252),
        ([5050, 4950], [0.5, 0.5], 10_000, -0.09657255),
        ([300, 500, 260], [0.3, 0.5, 0.2], 10, 1.59926613),
        ([300, 500, 260], [0.3, 0.5, 0.2], 10_000, 0.54145187),
    ],
)
def test_the_evidence_is_that_of_another_library(
    counts: list[int], shares: list[float], concentration: float, expected: float
) -> None:
    assert log_e_value(counts, shares, concentration) == pytest.approx(expected, abs=1e-6)


def test_the_evidence_is_the_product_over_single_users() -> None:
    shares, random = np.array([0.2, 0.3, 0.5]), np.random.default_rng(0)
    counts, total = np.zeros(3), 0.0
    for arm in random.choice(3, 200, p=[0.3, 0.3, 0.4]):
        predictive = (25.0 * shares + counts) / (25.0 + counts.sum())
        total += math.log(predictive[arm] / shares[arm])
        counts[arm] += 1
    found = log_e_value(counts.astype(int).tolist(), shares.tolist(), 25.0)
    assert found == pytest.approx(total, abs=1e-9)


def test_the_single_look_is_the_chi_square_test() -> None:
    found = sample_ratio([480, 310, 230], [0.5, 0.3, 0.2])
    expected = stats.chisquare([480, 310, 230], np.array([0.5, 0.3, 0.2]) * 1020)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert sample_ratio([480, 310, 230], [5, 3, 2]) == found


def alarms(chance: float, runs: int = 200) -> tuple[float, float]:
    """Return the share of runs with an alarm at any of 15 looks: sequential, and chi-square."""
    random, sequential, single = np.random.default_rng(1), 0, 0
    for _ in range(runs):
        users = random.multinomial(800, [chance, 1 - chance], size=15).cumsum(axis=0)
        found = [sample_ratio(row.tolist(), [0.5, 0.5]) for row in users]
        sequential += any(f.mismatch for f in found)
        single += any(f.p_value < 0.01 for f in found)
    return sequential / runs, single / runs


def test_equal_arms_alarm_seldom_though_looked_at_daily() -> None:
    sequential, single = alarms(0.5)
    assert sequential <= 0.01
    assert single > 0.03  # the test of a single look, looked at daily


def test_a_real_mismatch_is_found() -> None:
    assert alarms(0.53, runs=40)[0] > 0.9
    assert sample_ratio([150, 50], [0.5, 0.5]).mismatch  # few users, far off
    assert sample_ratio([502_500, 497_500], [0.5, 0.5]).mismatch  # many users, slightly off


def test_no_user_yet_is_no_mismatch() -> None:
    found = sample_ratio([0, 0], [0.5, 0.5])
    assert (found.p_value, found.sequential_p, found.mismatch) == (1.0, 1.0, False)


@pytest.mark.parametrize(("counts", "shares"), [([1], [1.0]), ([1, 2], [1.0]), ([1, 2], [1, 0.0])])
def test_wrong_arguments_are_named(counts: list[int], shares: list[float]) -> None:
    with pytest.raises(DataError, match="expected a count and a share above 0"):
        sample_ratio(counts, shares)
