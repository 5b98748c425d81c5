"""Team drafts against all coin tosses by brute force, and preferences against NumPy."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest

from crosstower.errors import DataError
from crosstower.evaluation.experiments.confidence_sequences import half_width, needed_error
from crosstower.evaluation.experiments.interleaving import preference, team_draft
from crosstower.evaluation.experiments.lifts import lift_of, means_of


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


def test_the_preference_has_the_error_of_a_bootstrap_over_users() -> None:
    random = np.random.default_rng(0)
    active = random.gamma(0.5, 4.0, 800)
    first, second = random.poisson(active) * 1.0, random.poisson(1.1 * active) * 1.0
    found = preference(first, second, level=0.9)
    lead, total = second - first, second + first
    assert found.estimate == pytest.approx(lead.sum() / total.sum())
    draws = random.integers(0, 800, (4_000, 800))
    bootstrap = lead[draws].sum(axis=1) / total[draws].sum(axis=1)
    assert found.standard_error == pytest.approx(bootstrap.std(), rel=0.05)
    reach = half_width(found.standard_error, 0.1, level=0.9)
    assert found.low == pytest.approx(found.estimate - reach)
    assert found.high == pytest.approx(found.estimate + reach)
    assert found.wins == (int((lead < 0).sum()), int((lead > 0).sum()))
    assert found.users == int((total > 0).sum())
    turned = preference(second, first, level=0.9)
    assert turned.estimate == pytest.approx(-found.estimate)
    assert turned.p_value == pytest.approx(found.p_value)


def test_equal_rankings_are_told_apart_seldom_though_looked_at_often() -> None:
    wrong = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        clicks = random.poisson(random.gamma(0.5, 2.0, 600)[:, None], (600, 2)) * 1.0
        looks = (preference(*clicks[:users].T) for users in range(20, 601, 20))
        wrong += any(not one.low <= 0 <= one.high for one in looks if not math.isnan(one.low))
    assert wrong / 300 <= 0.05


@pytest.mark.parametrize("users", [0, 1, 9])
def test_too_few_users_have_no_interval(users: int) -> None:
    found = preference(np.zeros(users), np.ones(users))
    assert math.isnan(found.low)
    assert found.p_value == 1.0


def test_a_few_users_who_agree_are_not_certain() -> None:
    found = preference(np.zeros(10), np.ones(10))
    assert found.estimate == 1.0
    assert found.standard_error == pytest.approx(1 / 3)
    assert found.low < 0
    assert preference(np.ones(10), np.ones(10)).p_value == 1.0


def test_far_fewer_users_are_needed_than_by_an_a_b_test() -> None:
    """Users differ much in how often they come and click; the second ranker is better by 20 %."""
    random, users = np.random.default_rng(0), 60_000
    activity = random.pareto(2.5, users) * 4 * random.gamma(0.5, 2.0, users)
    alone = random.poisson(activity) * 1.0, random.poisson(1.2 * activity) * 1.0
    half = random.poisson(activity / 2) * 1.0, random.poisson(0.6 * activity) * 1.0
    arms = np.repeat([0, 1], users)
    first, second = means_of(np.concatenate(alone), np.ones(2 * users, bool), arms, 2)
    lift = lift_of(first, second, 0.2)
    apart = 2 * users * (lift.standard_error / needed_error(0.2, 0.2)) ** 2
    found = preference(*half)
    assert found.estimate == pytest.approx(0.2 / 2.2, abs=0.01)
    together = users * (found.standard_error / needed_error(0.2 / 2.2, 0.1)) ** 2
    assert together < apart / 10


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(DataError, match="got lengths 1 and 2"):
        preference(np.ones(1), np.ones(2))
    with pytest.raises(DataError, match="0 or more clicks"):
        preference(np.array([-1.0]), np.ones(1))
