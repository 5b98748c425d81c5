"""Assignments are sticky, have the declared shares, and move few users when shares change."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.evaluation.experiments.assignment import OUTSIDE, Assignment
from crosstower.values.columns import text_of
from crosstower.values.hashing import hash_id, hash_ids, mix, uniform

USERS = pl.Series("user", np.arange(100_000))
HALVES = {"control": 0.5, "treatment": 0.5}


def arms_of(shares: dict[str, float], salt: str, users: pl.Series = USERS) -> pl.Series:
    """Return the arm whose clock rings first for each of many users, null outside."""
    rates = {name: share for name, share in shares.items() if share > 0.0}
    if (rest := 1.0 - sum(shares.values())) > 1e-9:
        rates[OUTSIDE] = rest
    hashed = hash_ids(text_of(users))
    seeds = [np.uint64(hash_id(f"{salt}\n{name}")) for name in rates]
    clocks = [-np.log(1.0 - uniform(mix(hashed ^ seed))) for seed in seeds]
    first = np.argmin([c / rate for c, rate in zip(clocks, rates.values(), strict=True)], axis=0)
    return pl.Series([name or None for name in rates], dtype=pl.String).gather(first)


def moved(before: dict[str, float], after: dict[str, float]) -> tuple[float, pl.DataFrame]:
    """Return the share of users who move, and their old and new arms."""
    old, new = (arms_of(shares, "s") for shares in (before, after))
    frame = pl.DataFrame({"old": old.fill_null("-"), "new": new.fill_null("-")})
    frame = frame.filter(pl.col("old") != pl.col("new"))
    return frame.height / len(USERS), frame


def least(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the total variation distance, which no method can undercut."""
    names = before.keys() | after.keys()
    arms = sum(max(after.get(n, 0.0) - before.get(n, 0.0), 0.0) for n in names)
    rest = (1 - sum(after.values())) - (1 - sum(before.values()))
    return arms + max(rest, 0.0)


@pytest.mark.parametrize(
    "shares", [HALVES, {"a": 0.6, "b": 0.25, "c": 0.15}, {"a": 0.01, "b": 0.3}]
)
def test_arms_have_the_declared_shares(shares: dict[str, float]) -> None:
    found = arms_of(shares, "test")
    seen = [int((found == name).sum()) for name in shares]
    expected = [share * len(USERS) for share in shares.values()]
    rest = 1 - sum(shares.values())
    assert found.null_count() == pytest.approx(rest * len(USERS), abs=600)
    if rest > 1e-9:
        seen, expected = [*seen, found.null_count()], [*expected, rest * len(USERS)]
    assert stats.chisquare(seen, expected).pvalue > 0.001


@pytest.mark.parametrize("shares", [{"a": 0.3, "b": 0.3}, {"a": 0.0, **HALVES}])
def test_the_arm_of_a_user_is_the_one_whose_clock_rings_first(shares: dict[str, float]) -> None:
    arms, named = Assignment(shares, "test"), ["ann", "Zoë"]
    expected = arms_of(shares, "test", USERS[:2_000]).to_list()
    assert [arms.of(user) for user in range(2_000)] == expected
    assert [arms.of(user) for user in named] == arms_of(shares, "test", pl.Series(named)).to_list()
    assert (None in expected) == (sum(shares.values()) < 1)


def test_salts_are_independent() -> None:
    first, second = (arms_of(HALVES, salt) for salt in ("one", "two"))
    table = pl.DataFrame({"a": first, "b": second}).group_by("a", "b").len().sort("a", "b")
    assert stats.chi2_contingency(table["len"].to_numpy().reshape(2, 2)).pvalue > 0.001
    assert arms_of(HALVES, "one").equals(first)


def test_arms_are_independent_of_each_other() -> None:
    """Who is in arm a says nothing about who is next: its loss goes to the others by share."""
    without = {"b": 0.2, "c": 0.4, "d": 0.4}
    _, changes = moved({"a": 0.2, **{k: 0.8 * v for k, v in without.items()}}, without)
    assert changes["old"].unique().to_list() == ["a"]
    seen = [changes.filter(new=name).height for name in without]
    expected = np.array(list(without.values())) * changes.height
    assert stats.chisquare(seen, expected).pvalue > 0.001


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HALVES, {"control": 0.4, "treatment": 0.6}),
        ({"control": 0.05, "treatment": 0.05}, {"control": 0.25, "treatment": 0.25}),  # ramp up
        ({"control": 0.25, "treatment": 0.25}, {"control": 0.05, "treatment": 0.05}),
        ({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.75, "b": 0.15, "c": 0.1}),
        (HALVES, {"control": 0.4, "treatment": 0.4, "third": 0.2}),
        (HALVES, {"control": 0.45, "treatment": 0.45, "holdout": 0.1}),
    ],
)
def test_a_change_of_one_share_moves_as_few_users_as_possible(
    before: dict[str, float], after: dict[str, float]
) -> None:
    found, _ = moved(before, after)
    assert found == pytest.approx(least(before, after), abs=0.005)


def test_ramping_up_takes_users_from_outside_only() -> None:
    _, changes = moved({"a": 0.1, "b": 0.2}, {"a": 0.3, "b": 0.6})
    assert changes["old"].unique().to_list() == ["-"]


def test_any_change_moves_at_most_twice_the_least() -> None:
    random = np.random.default_rng(0)
    for _ in range(10):
        names = ("a", "b", "c", "d")
        before, after = (dict(zip(names, random.dirichlet(np.ones(4)), strict=True)) for _ in "12")
        delta = least(before, after)
        found, changes = moved(before, after)
        assert delta - 0.005 <= found <= 2 * delta / (1 + delta) + 0.005
        ratios = {n: after[n] / before[n] for n in names}
        for old, new in changes.unique().iter_rows():
            assert ratios[new] > ratios[old]  # never to an arm that shrinks more


def test_the_order_of_the_arms_does_not_matter() -> None:
    one, turned = (
        Assignment(dict(arms), "s") for arms in (HALVES.items(), [*HALVES.items()][::-1])
    )
    assert [one.of(user) for user in range(500)] == [turned.of(user) for user in range(500)]
