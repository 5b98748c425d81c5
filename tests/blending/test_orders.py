import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crosstower.blending.orders import order_within, share_by_rank, share_in_top
from crosstower.errors import DataError


@given(seed=st.integers(0, 9999), levels=st.integers(1, 40), users=st.integers(1, 30))
def test_ranks_are_those_of_scipy_within_each_group(seed, levels, users):
    random = np.random.default_rng(seed)
    groups = random.integers(0, users, 150)
    score = random.integers(-levels, levels, 150) / levels
    rank = order_within(groups, score)
    for group in np.unique(groups):
        mine = groups == group
        np.testing.assert_array_equal(rank[mine], stats.rankdata(-score[mine], method="ordinal"))


def test_equal_scores_keep_the_order_of_the_rows_and_zero_has_no_sign():
    groups = pl.Series(["a", "b", "a", "a", "b"])
    assert order_within(groups, np.array([0.0, 1.0, -0.0, 0.0, 1.0])).tolist() == [1, 1, 2, 3, 2]


def test_rows_without_a_group_have_no_rank():
    rank = order_within(pl.Series([None, "a", None, "a"]), np.array([9.0, 1.0, 9.0, 2.0]))
    assert rank.tolist() == [0, 2, 0, 1]


def test_shares_by_rank_are_counted_by_hand():
    rank = np.array([1, 2, 3, 1, 2, 1, 0])
    types = pl.Series(["a", "b", "a", "b", "b", None, "c"])
    found = share_by_rank(rank, types, top=2)
    assert found["rank"].to_list() == [1, 1, 1, 2, 2, 2]
    assert found["type"].to_list() == ["a", "b", None] * 2
    assert found["rows"].to_list() == [1, 1, 1, 0, 2, 0]
    assert found["share"].to_list() == pytest.approx([1 / 3] * 3 + [0.0, 1.0, 0.0])


def test_shares_in_the_top_count_each_group_once():
    groups = pl.Series(["ann"] * 4 + ["bob"])
    rank = np.array([1, 2, 3, 4, 1])
    found = share_in_top(groups, rank, pl.Series(["a", "b", "b", "a", "a"]), top=3)
    assert found.rows() == [("a", 2, pytest.approx((1 / 3 + 1) / 2)), ("b", 2, 1 / 3)]


@given(seed=st.integers(0, 9999), top=st.integers(1, 12))
def test_shares_in_the_top_are_the_loop_over_groups(seed, top):
    random = np.random.default_rng(seed)
    groups, kinds = random.integers(0, 9, 80), random.integers(0, 4, 80)
    rank = order_within(groups, random.random(80))
    found = share_in_top(pl.Series(groups), rank, pl.Series(kinds), top=top)
    for kind, count, share in found.rows():
        mine = [kinds[(groups == g) & (rank <= top)] == kind for g in np.unique(groups)]
        assert share == pytest.approx(np.mean([m.mean() for m in mine]))
        assert count == sum(m.sum() for m in mine)
    assert found["share"].sum() == pytest.approx(1.0)


def test_bad_input_is_named():
    rank, types = np.array([1, 2]), pl.Series(["a", "b"])
    with pytest.raises(DataError, match="same rows everywhere, got 3 groups, 2 scores"):
        order_within(np.zeros(3), np.zeros(2))
    with pytest.raises(DataError, match="an order needs finite scores, got nan in row 1"):
        order_within(np.zeros(2), np.array([0.0, np.nan]))
    with pytest.raises(DataError, match="top: expected at least 1, got 0"):
        share_by_rank(rank, types, top=0)
    with pytest.raises(DataError, match="2 ranks, 1 types"):
        share_by_rank(rank, types[:1])
    with pytest.raises(DataError, match="1 groups, 2 ranks"):
        share_in_top(types[:1], rank, types)


def test_no_rows_have_no_order():
    none = np.zeros(0)
    assert order_within(none, none).tolist() == []
    assert share_by_rank(none.astype(int), pl.Series(none)).height == 0
    assert share_in_top(none, none.astype(int), pl.Series(none)).height == 0
