import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.errors import DataError
from crosstower.evaluation.metrics import bootstrap as module
from crosstower.evaluation.metrics.bootstrap import bootstrap_difference, bootstrap_interval
from crosstower.evaluation.metrics.group_order import GroupValues


@pytest.mark.parametrize("draws", [2**22, 1000])
def test_the_interval_is_that_of_scipy_whatever_the_blocks(draws, monkeypatch):
    monkeypatch.setattr(module, "_DRAWS", draws)
    values = np.random.default_rng(0).exponential(size=151)
    expected = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=400,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    found = bootstrap_interval(values, level=0.9, repeats=400, seed=5)
    assert found == pytest.approx(tuple(expected), abs=1e-12)


def test_the_interval_of_many_groups_is_the_normal_one():
    values = np.random.default_rng(1).random(2000)
    error = values.std() / math.sqrt(len(values))
    low, high = stats.norm.interval(0.95, loc=values.mean(), scale=error)
    found = bootstrap_interval(values, repeats=4000)
    assert found == pytest.approx((low, high), abs=0.15 * error)
    assert bootstrap_interval(values, repeats=50) == bootstrap_interval(values, repeats=50)
    assert bootstrap_interval(values, repeats=50) != bootstrap_interval(values, repeats=50, seed=1)


def test_ninety_percent_of_the_intervals_hold_the_true_mean():
    random = np.random.default_rng(3)
    samples = random.exponential(2.0, (300, 200))
    ends = np.array([bootstrap_interval(s, level=0.9, repeats=300) for s in samples])
    held = ((ends[:, 0] < 2.0) & (ends[:, 1] > 2.0)).sum()
    assert stats.binomtest(int(held), 300, 0.9).pvalue > 1e-3


def test_an_interval_of_no_group_is_not_defined_and_of_one_group_is_its_value():
    assert all(math.isnan(end) for end in bootstrap_interval(np.empty(0)))
    assert bootstrap_interval(np.array([0.25])) == (0.25, 0.25)


def test_a_paired_difference_is_sure_where_groups_differ_more_than_orders():
    random = np.random.default_rng(2)
    ids, hard = pl.Series(np.arange(500)), random.random(500)
    a = GroupValues(ids, hard + 0.01 + 0.001 * random.normal(size=500), 0)
    b = GroupValues(ids, hard, 0)
    low, high = bootstrap_difference(a, b)
    assert 0.0095 < low < 0.01 < high < 0.0105
    assert bootstrap_interval(a.values)[0] < bootstrap_interval(b.values)[1]  # unpaired: unsure
    assert bootstrap_difference(a, a) == (0.0, 0.0)


def test_a_difference_of_other_groups_is_refused():
    a = GroupValues(pl.Series([1, 2]), np.ones(2), 0)
    b = GroupValues(pl.Series([1, 3]), np.ones(2), 0)
    with pytest.raises(DataError, match="the same groups on both sides"):
        bootstrap_difference(a, b)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": 95}, "level: expected a share between 0 and 1, such as 0.95, got 95"),
        ({"level": 0.0}, "level"),
        ({"repeats": 0}, "repeats: expected at least 1, got 0"),
        ({"values": np.array([1.0, np.nan])}, "finite value per group.* got nan in row 1"),
    ],
)
def test_a_bad_interval_is_named(change, words):
    with pytest.raises(DataError, match=words):
        bootstrap_interval(**({"values": np.ones(3)} | change))
