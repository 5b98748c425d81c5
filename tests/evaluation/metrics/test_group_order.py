"""The order of the rows of groups: blocks of ties, and sums over places by enumeration."""

import itertools

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.evaluation.metrics.group_order import GroupValues, order_groups

GROUPS = pl.Series(["b", "a", "b", "a", "b", "a"])
SCORE = np.array([1.0, 2.0, 3.0, 2.0, 1.0, 5.0])
GAIN = np.array([4.0, 1.0, 0.5, 2.0, 8.0, 16.0])


def test_rows_are_ordered_by_group_and_then_by_falling_score() -> None:
    rows = order_groups(GROUPS, SCORE, GAIN, 3, losses=False)
    assert rows.groups.to_list() == ["a", "b"]
    assert rows.code.tolist() == [0, 0, 0, 1, 1, 1]
    assert rows.score.tolist() == [5.0, 2.0, 2.0, 3.0, 1.0, 1.0]
    assert (rows.longest(2), rows.longest(50)) == (2, 3)
    assert rows.by_gain().gain.tolist() == [16.0, 2.0, 1.0, 8.0, 4.0, 0.5]


def test_ties_are_the_blocks_of_rows_of_equal_score_in_a_group() -> None:
    first, owner, size, before = order_groups(GROUPS, SCORE, GAIN, 3, losses=False).ties()
    assert first.tolist() == [0, 1, 3, 4]
    assert owner.tolist() == [0, 0, 1, 1]
    assert size.tolist() == [1, 2, 1, 2]
    assert before.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("places", [1, 2, 3])
def test_a_sum_over_places_is_the_mean_over_all_orders_of_ties(places: int) -> None:
    weights = np.array([1.0, 0.7, 0.2])[:places]
    expected = []
    for group in ("a", "b"):
        own = np.flatnonzero(GROUPS.to_numpy() == group)
        orders = [list(order) for order in itertools.permutations(own)]
        falling = [order for order in orders if (np.diff(SCORE[order]) <= 0).all()]
        expected.append(np.mean([GAIN[order[:places]] @ weights for order in falling]))
    found = order_groups(GROUPS, SCORE, GAIN, 3, losses=False).expected(weights)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_groups_before_rows_without_a_gain_were_dropped_are_counted() -> None:
    gain = pl.Series([None, 1.0, None, float("nan"), None, 2.0])
    rows = order_groups(GROUPS, SCORE, gain, 3, losses=False)
    assert (rows.groups.to_list(), rows.gain.tolist(), rows.seen) == (["a"], [2.0, 1.0], 2)


def test_losses_are_gains_only_where_they_may_be() -> None:
    assert order_groups(GROUPS, SCORE, -GAIN, 3, losses=True).gain.min() == -16.0
    with pytest.raises(DataError, match=r"finite gain of 0 or more .*, got -4.0 in row 0, 6 such"):
        order_groups(GROUPS, SCORE, -GAIN, 3, losses=False)


def test_the_mean_counts_each_group_once() -> None:
    found = GroupValues(pl.Series(["a", "b"]), np.array([1.0, 0.25]), left_out=3)
    assert (found.mean, found.counted, found.left_out) == (0.625, 2, 3)
