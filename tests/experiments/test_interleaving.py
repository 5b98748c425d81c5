"""Team drafts against all coin tosses by brute force, and preferences against NumPy."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest

from crosstower.errors import DataError
from crosstower.experiments.interleaving import preference, team_draft
from crosstower.experiments.sequences import half_width


def drafted(first: str, second: str, k: int, coins: tuple[int, ...]) -> str:
    """Return the list for given coins, step by step as in the paper, with capitals for team 1."""
    found = ""
    for coin in coins:
        for team in (coin, 1 - coin):
            left = [i for i in (first, second)[team] if i not in found.lower()]
            if left and len(found) < k:
                found += left[0].upper() if team else left[0]
    return found


def shown(first: str, second: str, k: int, request_id: str) -> str:
    found = team_draft(first, second, k, request_id=request_id)
    pairs = zip(found.items, found.teams, strict=True)
    return "".join(item.upper() if team else item for item, team in pairs)


@pytest.mark.parametrize(
    ("first", "second", "k"), [("abcd", "badc", 4), ("abc", "def", 5), ("ab", "cdefg", 6)]
)
def test_lists_are_as_likely_as_the_coins_make_them(first: str, second: str, k: int) -> None:
    tosses = list(product((0, 1), repeat=k))
    expected = Counter(drafted(first, second, k, coins) for coins in tosses)
    runs = 8_000
    seen = Counter(shown(first, second, k, str(number)) for number in range(runs))
    assert seen.keys() == expected.keys()
    for name, count in expected.items():
        share = count / len(tosses)
        noise = 4.5 * math.sqrt(share * (1 - share) / runs)
        assert seen[name] / runs == pytest.approx(share, abs=noise)


def test_equal_rankings_give_each_team_half_of_every_place() -> None:
    teams = [team_draft("abcdef", "abcdef", 6, request_id=str(i)).teams for i in range(4_000)]
    assert np.mean(teams, axis=0) == pytest.approx(np.full(6, 0.5), abs=0.035)
    assert {sum(t) for t in teams} == {3}  # as many picks for both


def test_every_item_comes_once_and_short_rankings_end() -> None:
    found = team_draft([1, 2, 3], [3, 2, 9, 1], 10, request_id="r")
    assert sorted(found.items) == [1, 2, 3, 9]
    assert team_draft([], [5, 6], 10, request_id="r").items == [5, 6]
    assert team_draft([], [], 10, request_id="r").items == []
    assert len(team_draft(range(50), range(50), 7, request_id="r").items) == 7


def test_a_request_that_is_sent_again_has_the_same_list() -> None:
    lists = [team_draft(range(20), range(20)[::-1], 10, request_id="again") for _ in "12"]
    assert lists[0] == lists[1]


def test_the_preference_is_the_mean_over_users_who_clicked() -> None:
    random = np.random.default_rng(0)
    first, second = random.poisson(0.4, 500) * 1.0, random.poisson(0.6, 500) * 1.0
    found = preference(first, second, level=0.9)
    users = [(b - a) / (a + b) for a, b in zip(first, second, strict=True) if a + b]
    assert found.estimate == pytest.approx(np.mean(users))
    assert found.standard_error == pytest.approx(np.std(users, ddof=1) / len(users) ** 0.5)
    reach = half_width(found.standard_error, 0.1, level=0.9)
    assert (found.low, found.high) == pytest.approx(
        (found.estimate - reach, found.estimate + reach)
    )
    assert found.wins == (sum(u < 0 for u in users), sum(u > 0 for u in users))
    assert found.users == len(users)
    turned = preference(second, first, level=0.9)
    assert turned.estimate == pytest.approx(-found.estimate)
    assert turned.p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize("clicks", [[], [0.0], [1.0]])
def test_too_few_users_have_no_interval(clicks: list[float]) -> None:
    found = preference(np.zeros(len(clicks)), np.array(clicks))
    assert math.isnan(found.low)
    assert found.p_value == 1.0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match="got lengths 1 and 2"):
        preference(np.ones(1), np.ones(2))
    with pytest.raises(DataError, match="0 or more clicks"):
        preference(np.array([-1.0]), np.ones(1))
