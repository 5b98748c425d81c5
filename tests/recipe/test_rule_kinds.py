import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.rule_kinds import Boost, Bury, MaxPer, Pacing, Slots


@pytest.mark.parametrize(
    ("kind", "keys", "words"),
    [
        (Boost, {}, "expected either multiply or add"),
        (Boost, {"multiply": 2, "add": 1}, "expected either multiply or add"),
        (Boost, {"multiply": 0.5}, "greater than or equal to 1, got 0.5"),
        (Bury, {"divide": 2, "subtract": 1}, "expected either divide or subtract"),
        (Bury, {"subtract": -1}, "greater than or equal to 0, got -1"),
    ],
)
def test_a_boost_raises_and_a_bury_lowers_in_one_way(kind, keys, words):
    with pytest.raises(RecipeError, match=words):
        kind(where="a == 1", **keys)


def test_the_places_of_a_slot_begin_at_the_first_one():
    assert list(Slots(where="ad", every=3).places(10)) == [3, 6, 9]
    assert list(Slots(where="ad", every=4, first=1).places(10)) == [1, 5, 9]
    assert list(Slots(where="ad", every=4, first=11).places(10)) == []


def test_a_window_of_one_place_limits_nothing_and_is_refused():
    with pytest.raises(RecipeError, match="within: expected a number greater than or equal to 2"):
        MaxPer(column="seller", most=1, within=1)


@pytest.mark.parametrize("budget", [0, -5, ""])
def test_a_budget_is_a_number_above_0_or_a_column(budget):
    with pytest.raises(RecipeError, match="budget"):
        Pacing(budget=budget)
