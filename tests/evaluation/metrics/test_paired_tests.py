import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.errors import DataError
from crosstower.evaluation.metrics.auc import roc_auc
from crosstower.evaluation.metrics.paired_tests import (
    PairedTest,
    auc_test,
    group_test,
    holm,
    p_value,
    rmse_test,
    row_test,
)
from crosstower.evaluation.metrics.per_user import GroupValues
from crosstower.evaluation.metrics.regression import rmse
from crosstower.evaluation.metrics.summary import Summary

RANDOM = np.random.default_rng(0)


def delong(y, a, b):
    """DeLong et al. 1988 from all pairs: z and its p-value, as their equations 1 to 6."""
    kernel = [
        (s[y == 1][:, None] > s[y == 0][None]) + 0.5 * (s[y == 1][:, None] == s[y == 0][None])
        for s in (a, b)
    ]
    v10 = np.array([k.mean(axis=1) for k in kernel])
    v01 = np.array([k.mean(axis=0) for k in kernel])
    s = np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]
    auc = [k.mean() for k in kernel]
    z = (auc[0] - auc[1]) / math.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1])
    return auc[0] - auc[1], z, 2 * stats.norm.sf(abs(z))


@pytest.mark.parametrize("levels", [5, 10_000])
def test_the_test_of_auc_is_delongs(levels):
    y = RANDOM.integers(0, 2, 300)
    base = RANDOM.normal(size=300) + y
    a, b = (np.round((base + RANDOM.normal(size=300)) * levels / 10) for _ in range(2))
    value, z, p = delong(y, a, b)
    found = auc_test(y, a, b, Summary(roc_auc(y, a)), Summary(roc_auc(y, b)))
    assert found.value == pytest.approx(value)
    assert found.p == pytest.approx(p)
    assert found.low == pytest.approx(value - stats.norm.ppf(0.975) * abs(value / z), abs=1e-6)
    assert found.method == "DeLong"


def test_no_difference_is_rejected_at_its_level():
    """Two models that are equally good: p is below 5 % in 5 % of the samples."""
    rejected = 0
    for _ in range(400):
        y = RANDOM.integers(0, 2, 200)
        signal = RANDOM.normal(size=200) + y
        a, b = (signal + RANDOM.normal(size=200) for _ in range(2))
        found = auc_test(y, a, b, Summary(roc_auc(y, a)), Summary(roc_auc(y, b)))
        rejected += found.verdict != "not significant"
    assert 0.025 < rejected / 400 < 0.085


def test_a_mean_over_rows_has_the_paired_t_statistic():
    a, b = RANDOM.normal(size=(2, 500))
    found = row_test("log_loss", a, b, Summary(a.mean()), Summary(b.mean()))
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=0.01)
    assert math.isnan(row_test("mae", a[:1], b[:1], Summary(0.5), Summary(0.4)).p)


def test_the_spread_over_seeds_widens_the_interval():
    y = RANDOM.normal(size=400)
    a, b = y + RANDOM.normal(size=400), y + 1.2 * RANDOM.normal(size=400)
    means = [Summary(rmse(y, p)) for p in (a, b)]
    one = rmse_test(y, a, b, *means)
    spread = [replace(s, sd=0.05, seeds=3) for s in means]
    more = rmse_test(y, a, b, *spread)
    assert one.verdict == "better"
    assert more.value == one.value
    half = math.hypot((one.high - one.low) / 2, 1.959964 * math.hypot(0.05, 0.05))
    assert more.high - more.value == pytest.approx(half)
    assert more.p > one.p


def values(numbers):
    return GroupValues(pl.Series(range(len(numbers))), np.asarray(numbers, dtype=float), 0)


def test_lists_are_resampled_by_group():
    a = RANDOM.random(300)
    b = a - 0.05 + 0.2 * RANDOM.normal(size=300)
    found = group_test("ndcg@10", [values(a)], [values(b)], over="users", repeats=4000)
    error = np.std(a - b) / math.sqrt(300)
    assert found.value == pytest.approx((a - b).mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert stats.norm.isf(found.p / 2) == pytest.approx(found.value / error, rel=0.05)
    assert found.method == "bootstrap over users"
    seeds = group_test("ndcg@10", [values(a), values(a + 0.1)], [values(b)], over="users")
    assert seeds.value == pytest.approx((a - b).mean() + 0.05)
    assert seeds.p > found.p
    with pytest.raises(DataError, match="same groups"):
        group_test("ndcg@10", [values(a)], [values(b[:9])], over="users")


def test_ends_of_p_values():
    assert p_value(0.0, 0.0) == 1.0
    assert p_value(0.1, 0.0) == 0.0
    assert math.isnan(p_value(0.1, math.nan))
    assert p_value(1.0, 0.5) == pytest.approx(2 * stats.norm.sf(2.0))


def given(p, value=0.1, metric="auc"):
    return PairedTest(metric, "DeLong", value, value - 1, value + 1, p)


def test_holm_adjusts_by_the_number_of_runs():
    """The example of Holm's procedure with p = .01, .04, .03, .005: .03, .06, .06, .02."""
    found = holm([given(0.01), given(0.04), given(0.03), given(0.005), given(math.nan)])
    assert [t.adjusted for t in found[:4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(found[4].adjusted)
    assert [t.verdict for t in found] == [
        "better",
        "not significant",
        "not significant",
        "better",
        "not significant",
    ]


def test_the_verdict_knows_which_way_is_better():
    assert given(0.01, value=-0.1).verdict == "worse"
    assert given(0.01, value=-0.1, metric="log_loss").verdict == "better"
    assert given(0.01, value=0.1, metric="recall@10").verdict == "better"
