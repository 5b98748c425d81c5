"""Divisions of rows as a recipe writes them."""

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.split import TimeSplit
from crosstower.recipe.times import TimeFormat

from .test_recipe import SHORT


def test_times_of_a_split_and_formats_survive_the_way_to_yaml() -> None:
    overrides = [
        "data.split={kind: time, column: when, valid_from: 2024-03-01, test_from: 2024-04-01 9}",
        "data.times={when: {format: '%m/%d/%Y', timezone: UTC}}",
    ]
    recipe = parse_recipe(SHORT, overrides)
    split = TimeSplit(column="when", valid_from="2024-03-01", test_from="2024-04-01 9")
    assert recipe.data.split == split
    assert recipe.data.times["when"] == TimeFormat(format="%m/%d/%Y", timezone="UTC")
    assert parse_recipe(recipe.to_yaml()) == recipe
    short = parse_recipe(SHORT, [overrides[0], "data.times={when: ms}"])
    assert short.data.times["when"] == TimeFormat(format="ms")


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("valid_from: 2024-03-01", "test_from: missing; set both valid_from and test_from"),
        ("test_from: 2024-03-01", "valid_from: missing"),
        (
            "valid_from: 1, test_from: 2, fractions: [0.5, 0.2, 0.3]",
            "fractions: not allowed with valid",
        ),
    ],
)
def test_a_split_at_given_times_needs_both_and_no_fractions(split: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe(SHORT, [f"data.split={{kind: time, column: when, {split}}}"])
