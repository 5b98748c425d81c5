import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.errors import DataError
from crosstower.evaluation.metrics.auc import roc_auc
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.paired_tests import (
    PairedTest,
    auc_test,
    group_test,
    holm,
    p_value,
    rmse_test,
    row_test,
)
from crosstower.evaluation.metrics.regression import rmse
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.metrics.uncertainty import auc_difference_error

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


# Albumin, total protein, K-G score, and whether surgery helped, of 43 patients.
OVARIAN = """
3.0 5.8 10 0  3.2 6.3  5 1  3.9 6.8  3 1  2.8 4.8  6 0  3.2 5.8  3 1  0.9 4.0  5 0
2.5 5.7  8 0  1.6 5.6  5 1  3.8 5.7  5 1  3.7 6.7  6 1  3.2 5.4  4 1  3.8 6.6  6 1
4.1 6.6  5 1  3.6 5.7  5 1  4.3 7.0  4 1  3.6 6.7  4 0  2.3 4.4  6 1  4.2 7.6  4 0
4.0 6.6  6 0  3.5 5.8  6 1  3.8 6.8  7 1  3.0 4.7  8 0  4.5 7.4  5 1  3.7 7.4  5 1
3.1 6.6  6 1  4.1 8.2  6 1  4.3 7.0  5 1  4.3 6.5  4 1  3.2 5.1  5 1  2.6 4.7  6 1
3.3 6.8  6 0  1.7 4.0  7 0  3.7 6.1  5 1  3.3 6.3  7 1  4.2 7.7  6 1  3.5 6.2  5 1
2.9 5.7  9 0  2.1 4.8  7 1  2.8 6.2  8 0  4.0 7.0  7 1  3.3 5.7  6 1  3.7 6.9  5 1
3.6 6.6  5 1
"""


@pytest.mark.parametrize(
    ("column", "auc", "contrast"),
    [
        (0, 0.7366, (0.0108, 0.0953, -0.1761, 0.1976, 0.0127, 0.9102)),
        (1, 0.6478, (-0.0780, 0.1046, -0.2830, 0.1271, 0.5554, 0.4561)),
    ],
)
def test_delongs_own_example_is_as_published(column, auc, contrast):
    """The ovarian cancer patients of DeLong et al. 1988, section 5, with the figures of SAS/STAT.

    User's Guide, the LOGISTIC procedure, example "Comparing Receiver Operating Characteristic
    Curves": difference, standard error, interval, chi-square and p-value of each test against the
    K-G score, without the six patients with missing values.
    """
    *tests, score, helped = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    y, a = 1 - helped, -tests[column]
    aucs = roc_auc(y, a), roc_auc(y, score)
    assert aucs == pytest.approx((auc, 0.7258), abs=5e-5)
    found = auc_test(y, a, score, Summary(aucs[0]), Summary(aucs[1]))
    error, chi_square = auc_difference_error(y, a, score), stats.chi2.isf(found.p, 1)
    computed = (found.value, error, found.low, found.high, chi_square, found.p)
    assert computed == pytest.approx(contrast, abs=6e-5)


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
