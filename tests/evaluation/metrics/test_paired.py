"""Statistics under resampled clusters, against the same metric of rows that are repeated."""

import math

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from crosstower.evaluation.metrics.paired import (
    auc_statistic,
    mean_statistic,
    ratio_statistic,
    resampled,
)

RANDOM = np.random.default_rng(0)
USERS = np.sort(RANDOM.integers(0, 12, 200))
LABELS = (RANDOM.random(200) < 0.3).astype(np.float64)
SCORES = np.round(RANDOM.random((200, 2)) + 0.3 * LABELS[:, None], 1)  # many ties
DRAWS = np.bincount(RANDOM.integers(0, 12, 12), minlength=12).astype(np.float64)
REPEATED = np.repeat(np.arange(200), DRAWS[USERS].astype(int))


def test_auc_is_that_of_repeated_rows() -> None:
    found = auc_statistic(LABELS, SCORES, USERS)(DRAWS)
    expected = [roc_auc_score(LABELS[REPEATED], SCORES[REPEATED, m]) for m in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_means_and_ratios_are_those_of_repeated_rows() -> None:
    values = RANDOM.random((200, 2))
    found = mean_statistic(values, USERS)(DRAWS)
    np.testing.assert_allclose(found, values[REPEATED].mean(axis=0), rtol=1e-12)
    rooted = mean_statistic(values, USERS, root=True)(DRAWS)
    np.testing.assert_allclose(rooted, np.sqrt(found), rtol=1e-12)
    below = np.stack([LABELS, LABELS + 1], axis=1)
    ratio = ratio_statistic(values, below, USERS)(DRAWS)
    expected = values[REPEATED].sum(axis=0) / below[REPEATED].sum(axis=0)
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


def test_what_is_undefined_is_nan() -> None:
    drawn = np.zeros(12)
    assert np.isnan(mean_statistic(SCORES, USERS)(drawn)).all()
    assert np.isnan(auc_statistic(LABELS, SCORES, USERS)(drawn)).all()
    one = auc_statistic(np.ones(3), np.ones((3, 2)), np.arange(3))
    assert np.isnan(one(np.ones(3))).all()


def test_both_models_see_the_same_resamples() -> None:
    twice = np.stack([SCORES[:, 0], SCORES[:, 0]], axis=1)
    statistics = {
        "auc": auc_statistic(LABELS, twice, USERS),
        "mean": mean_statistic(twice, USERS),
    }
    for values in resampled(statistics, 12, repeats=20, seed=1).values():
        np.testing.assert_array_equal(values[:, 0], values[:, 1])
        assert len(set(values[:, 0])) > 10


def test_draws_spread_as_scipys_bootstrap_of_clusters() -> None:
    values = np.stack([RANDOM.normal(0.0, 1.0, 200), RANDOM.normal(0.5, 2.0, 200)], axis=1)
    values += RANDOM.normal(0.0, 1.0, 12)[USERS][:, None]  # rows of a user are alike
    draws = resampled({"m": mean_statistic(values, USERS)}, 12, repeats=4_000, seed=0)["m"]
    gain = draws[:, 1] - draws[:, 0]
    sums = np.stack([np.bincount(USERS, v) for v in values.T])
    sizes = np.bincount(USERS)

    def difference(i: np.ndarray, axis: int = -1) -> np.ndarray:
        drawn = i.astype(int)
        return (sums[1][drawn] - sums[0][drawn]).sum(axis=axis) / sizes[drawn].sum(axis=axis)

    expected = scipy.stats.bootstrap(
        (np.arange(12),), difference, n_resamples=4_000, method="percentile", rng=1
    )
    assert gain.std() == pytest.approx(expected.standard_error, rel=0.05)
    ends = np.quantile(gain, [0.025, 0.975])
    interval = expected.confidence_interval
    np.testing.assert_allclose(ends, interval, atol=0.1 * (interval.high - interval.low))


def test_single_rows_as_clusters_give_the_error_of_a_mean() -> None:
    values = RANDOM.random((500, 2))
    draws = resampled({"m": mean_statistic(values, np.arange(500))}, 500, repeats=4_000, seed=0)
    gain = draws["m"][:, 1] - draws["m"][:, 0]
    error = np.std(values[:, 1] - values[:, 0]) / math.sqrt(500)
    assert gain.std() == pytest.approx(error, rel=0.05)
