import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import ndcg_score

from crosstower.data.datasets import worlds
from crosstower.errors import DataError
from crosstower.evaluation.metrics.bootstrap import bootstrap_difference
from crosstower.evaluation.metrics.ndcg import ndcg_per_group, total_at_k_per_group


def small_world(seed, levels=4, users=12, rows=90):
    """Groups of 2 and more rows, scores with ties, gains of 0 to 3."""
    random = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(users), np.arange(users), random.integers(0, users, rows)])
    count = len(groups)
    score = random.integers(0, levels, count) / levels
    return groups, score, random.integers(0, 4, count) * (random.random(count) < 0.5)


@given(seed=st.integers(0, 9999), levels=st.integers(1, 30), k=st.integers(1, 15))
def test_ndcg_is_that_of_scikit_learn_group_by_group(seed, levels, k):
    groups, score, gain = small_world(seed, levels)
    found = ndcg_per_group(pl.Series(groups), score, gain, k)
    expected = {}
    for group in np.unique(groups):
        rows = groups == group
        if gain[rows].any():
            expected[group] = ndcg_score([gain[rows]], [score[rows]], k=k, ignore_ties=False)
    assert found.groups.to_list() == list(expected)
    np.testing.assert_allclose(found.values, list(expected.values()), atol=1e-12)
    assert (found.counted, found.left_out) == (len(expected), 12 - len(expected))


def over_all_orders(score, gain, value):
    """The mean of `value` over every order that has the scores falling."""
    orders = (list(order) for order in itertools.permutations(range(len(score))))
    falling = [order for order in orders if (np.diff(score[order]) <= 0).all()]
    return np.mean([value(gain[order]) for order in falling])


@pytest.mark.parametrize("k", [1, 2, 4, 6, 50])
@pytest.mark.parametrize("score", [[1, 1, 1, 1, 1, 1], [3, 2, 2, 2, 1, 1], [6, 5, 4, 3, 2, 1]])
def test_tied_rows_give_the_mean_over_all_their_orders(score, k):
    score, gain = np.array(score), np.array([0.0, 2.0, 0.5, 0.0, 1.0, 3.0])
    group = pl.Series(["a"] * 6)
    discount = 1 / np.log2(np.arange(6) + 2)
    best = (np.sort(gain)[::-1] * discount)[:k].sum()
    ndcg = over_all_orders(score, gain, lambda g: (g * discount)[:k].sum() / best)
    total = over_all_orders(score, gain, lambda g: g[:k].sum())
    assert ndcg_per_group(group, score, gain, k).values == pytest.approx([ndcg], abs=1e-12)
    assert total_at_k_per_group(group, score, gain, k).values == pytest.approx([total], abs=1e-12)


@given(seed=st.integers(0, 9999), k=st.integers(1, 12))
def test_the_order_of_the_rows_does_not_matter(seed, k):
    groups, score, gain = small_world(seed, levels=3)
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    for metric in (ndcg_per_group, total_at_k_per_group):
        one = metric(pl.Series(groups), score, gain, k)
        other = metric(pl.Series(groups[shuffled]), score[shuffled], gain[shuffled], k)
        assert one.groups.equals(other.groups)
        np.testing.assert_allclose(one.values, other.values, atol=1e-12)


@given(seed=st.integers(0, 9999), k=st.integers(1, 12))
def test_ndcg_is_one_for_the_order_of_the_gain_and_free_of_its_unit(seed, k):
    groups, score, gain = small_world(seed)
    ids = pl.Series(groups)
    assert ndcg_per_group(ids, gain, gain, k).values == pytest.approx(1.0, abs=1e-12)
    found = ndcg_per_group(ids, score, gain, k).values
    assert (found <= 1.0 + 1e-12).all()
    np.testing.assert_allclose(ndcg_per_group(ids, score, 7.0 * gain, k).values, found, atol=1e-12)
    rising = np.exp(3.0 * score)  # only the order counts
    np.testing.assert_array_equal(ndcg_per_group(ids, rising, gain, k).values, found)


def test_the_total_over_all_places_is_the_sum_of_the_gain():
    groups, score, gain = small_world(3)
    found = total_at_k_per_group(pl.Series(groups), score, gain, 10**9)
    np.testing.assert_allclose(found.values, np.bincount(groups, gain), atol=1e-12)


def test_a_total_without_ties_is_the_sum_of_the_first_rows():
    groups = pl.Series(["b", "a", "b", "a", "b"])
    found = total_at_k_per_group(groups, np.array([1, 5, 3, 4, 2]), np.array([9, 1, 2, 0, 4.0]), 2)
    assert found.groups.to_list() == ["a", "b"]
    assert found.values.tolist() == [1.0, 6.0]
    assert (found.mean, found.counted, found.left_out) == (3.5, 2, 0)


@given(seed=st.integers(0, 9999), levels=st.integers(1, 9), k=st.integers(1, 12))
def test_losses_count_in_totals_as_a_gain_less_a_shift(seed, levels, k):
    groups, score, gain = small_world(seed, levels)
    found = total_at_k_per_group(pl.Series(groups), score, gain - 1.5, k)
    seen = np.minimum(np.bincount(groups), k)  # rows of each group that have a place
    shifted = total_at_k_per_group(pl.Series(groups), score, gain, k).values - 1.5 * seen
    np.testing.assert_allclose(found.values, shifted, atol=1e-12)


def test_losses_have_no_ndcg():
    ids, gain = pl.Series([1, 1, 2]), np.array([1, -1, -2])
    with pytest.raises(DataError, match=r"gain of 0 or more .*, got -1.0 in row 1, 2 such"):
        ndcg_per_group(ids, np.ones(3), gain, 2)


def test_rows_without_a_gain_or_a_group_do_not_count():
    groups = pl.Series(["a", "a", "a", "b", None, "c", "c"])
    score = np.array([3.0, 2.0, 1.0, 1.0, 1.0, 2.0, 1.0])
    gain = pl.Series([None, 1.0, 1.0, None, 1.0, math.nan, 0.0])
    ndcg = ndcg_per_group(groups, score, gain, 5)
    assert (ndcg.groups.to_list(), ndcg.values.tolist(), ndcg.left_out) == (["a"], [1.0], 2)
    total = total_at_k_per_group(groups, score, gain.to_numpy(), 5)
    assert (total.groups.to_list(), total.values.tolist()) == (["a", "c"], [2.0, 0.0])
    assert total.left_out == 1


def test_no_rows_have_no_mean():
    for metric in (ndcg_per_group, total_at_k_per_group):
        found = metric(pl.Series([], dtype=pl.String), np.empty(0), np.empty(0), 5)
        assert (found.counted, found.left_out) == (0, 0)
        assert math.isnan(found.mean)


def test_scores_near_each_other_are_no_ties_and_infinite_ones_have_a_place():
    score = np.array([1.0, 1.0 + 1e-15, -np.inf, np.inf])
    found = total_at_k_per_group(pl.Series([0, 0, 0, 0]), score, np.array([1, 10, 100, 1000]), 2)
    assert found.values.tolist() == [1010.0]


def test_true_probabilities_order_the_feed_best_and_bring_the_likes_they_promise():
    feed = worlds.make("feed_engagement", rows=20_000).frame
    users, truth = feed["user_id"], feed["like_probability"].to_numpy()
    random = np.random.default_rng(0).random(feed.height)
    best = ndcg_per_group(users, truth, feed["like"], 5)
    worse = ndcg_per_group(users, random, feed["like"], 5)
    low, high = bootstrap_difference(best, worse)
    assert 0.0 < low < best.mean - worse.mean < high
    likes = total_at_k_per_group(users, truth, feed["like"], 5)
    promised = total_at_k_per_group(users, truth, truth, 5)
    surplus = likes.values - promised.values
    assert abs(surplus.mean()) < 4.0 * stats.sem(surplus)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 0}, "k: expected at least 1"),
        ({"score": np.ones(2)}, "3 groups, 2 scores, 3 gains"),
        ({"gain": np.ones(4)}, "3 groups, 3 scores, 4 gains"),
        ({"score": np.array([1, np.nan, 2])}, "number as score, got nan in row 1, 1 such rows"),
        ({"gain": np.array([1, 0, np.inf])}, "finite gain .*, got inf in row 2"),
        ({"gain": np.array([1, -np.inf, 0])}, "finite gain .*, got -inf in row 1"),
    ],
)
def test_bad_input_is_named(change, words):
    good = {"groups": pl.Series([1, 1, 2]), "score": np.ones(3), "gain": np.ones(3), "k": 2}
    for metric in (ndcg_per_group, total_at_k_per_group):
        with pytest.raises(DataError, match=words):
            metric(**(good | change))
