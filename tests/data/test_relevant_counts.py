"""The sentence about relevant items in histories, and the keys of the recipe that it names."""

import re
from typing import get_args

import pytest

from crosstower.data.relevant_counts import RelevantCounts
from crosstower.recipe.retrieval import Retrieval, SeenRule

RULES: tuple[SeenRule, ...] = get_args(SeenRule)


@pytest.mark.parametrize(
    ("total", "seen", "share"), [(8, 1, "12.5%"), (3, 2, "66.7%"), (9, 0, "0.0%")]
)
def test_the_share_is_that_of_all_relevant_items(total: int, seen: int, share: str) -> None:
    words = RelevantCounts(total=total, seen=seen, rule="missed").words()
    assert words.startswith(f"{seen} of {total} relevant items ({share}) are")


def test_large_numbers_have_separators() -> None:
    words = RelevantCounts(total=2_000_000, seen=1_000, rule="shown").words()
    assert words.startswith("1,000 of 2,000,000 relevant items (0.1%) are already in the history: ")


def test_no_relevant_item_has_no_share() -> None:
    words = RelevantCounts(total=0, seen=0, rule="ignored").words()
    assert words.startswith("0 of 0 relevant items are already")


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_names_the_option_of_the_recipe_that_gives_it(rule: SeenRule) -> None:
    words = RelevantCounts(total=4, seen=1, rule=rule).words()
    ((key, value),) = re.findall(r"\(retrieval\.(\w+): (\w+)\)", words)
    given = Retrieval.model_validate({"item": "item_id", "user": "user_id", key: value})
    assert given.seen_rule == rule
    others = {RelevantCounts(total=4, seen=1, rule=other).words() for other in RULES}
    assert len(others) == len(RULES)
