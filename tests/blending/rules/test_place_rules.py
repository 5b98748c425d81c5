import numpy as np
import polars as pl
import pytest

from crosstower.blending.rules.attributes import RuleRows
from crosstower.blending.rules.pacing import Ledger
from crosstower.blending.rules.place_rules import Places
from crosstower.recipe.rules import Rules

TABLE = pl.DataFrame({"ad": [False] * 4 + [True] * 3, "bid": [None] * 4 + [1.0, None, 5.0]})
ROWS = RuleRows.of_table(TABLE, ids=list("abcdefg"))
ORDER = np.arange(7)


def filled(rules: Rules, k: int = 4, count: int | None = None) -> list[int]:
    places = Places(rules, ROWS, None, 0.0)
    return places.fill(ORDER, k, len(places.labels) if count is None else count).tolist()


def test_rules_are_named_in_the_order_in_which_they_count():
    rules = Rules(
        pin=[{"item": "d", "at": 1}],
        slots=[{"where": "ad", "every": 2}],
        max_per=[{"column": "ad", "most": 1}, {"column": "bid", "most": 1}],
    )
    places = Places(rules, ROWS, None, 0.0)
    assert places.labels == ["max_per[0]", "max_per[1]", "slots[0]", "pin[0]"]
    assert filled(rules, count=3)[:4] != filled(rules)[:4]
    assert filled(rules)[0] == 3


def test_pins_take_the_nearest_free_place_and_the_later_rule_wins():
    one = [{"item": i, "at": 3} for i in "efg"]
    assert filled(Rules(pin=one))[1:4] == [4, 6, 5]
    assert filled(Rules(pin=[{"item": "g", "at": 4}, {"item": "g", "at": 1}]))[0] == 6
    places = Places(Rules(pin=[{"item": i, "at": 1} for i in "abc"]), ROWS, None, 0.0)
    places.fill(ORDER, 2, 3)
    assert any("has no place: all are pinned" in notice for notice in places.notices)


def test_an_item_without_a_number_is_below_a_floor():
    floor = {"column": "bid", "at_least": 0.5}
    found = filled(Rules(slots={"where": "ad", "every": 2, "first": 1, "floor": floor}))
    assert found[:4] == [4, 0, 6, 1]


@pytest.mark.parametrize(("budget", "wanted"), [(1.0, [4]), (5.0, [4]), (6.0, [4, 6]), (0.5, [])])
def test_a_list_costs_no_more_than_is_left(budget, wanted):
    """An item without a cost is never shown in a paced slot."""
    ledger = Ledger()
    pacing = {"budget": budget, "cost": "bid"}
    rules = Rules(slots={"where": "ad", "every": 1, "elsewhere": False, "pacing": pacing})
    for hour in range(1, 3):  # the first list opens the account
        places = Places(rules, ROWS, ledger, hour * 3_600.0)
        found = places.fill(ORDER, 7, 1)
    assert [row for row in found.tolist() if row >= 4] == wanted
    charges = places.charge(found)
    assert charges == [(row, ("ad\t", 0, {4: 1.0, 6: 5.0}[row])) for row in wanted]
    assert ledger.spent("ad\t") == sum({4: 1.0, 6: 5.0}[row] for row in wanted)


def test_a_preview_spends_nothing_and_is_what_would_be_shown():
    ledger = Ledger()
    rules = Rules(slots={"where": "ad", "every": 2, "pacing": {"budget": 2, "campaign": "bid"}})
    for now in (0.0, 43_200.0):
        seen = Places(rules, ROWS, ledger, now, preview=True).fill(ORDER, 4, 1).tolist()
        again = Places(rules, ROWS, ledger, now, preview=True).fill(ORDER, 4, 1).tolist()
        assert seen == again == Places(rules, ROWS, ledger, now).fill(ORDER, 4, 1).tolist()
    assert seen[1] == 4
