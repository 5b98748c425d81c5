"""Assignments are sticky, have the declared shares, and move few users when shares change."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from crosstower.experiments.assignment import Assignment

USERS = pl.Series("user", np.arange(100_000))
HALVES = {"control": 0.5, "treatment": 0.5}


def moved(before: dict[str, float], after: dict[str, float]) -> tuple[float, pl.DataFrame]:
    """Return the share of users who move, and their old and new arms."""
    old, new = (Assignment(shares, "s").of_all(USERS) for shares in (before, after))
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
    found = Assignment(shares, "test").of_all(USERS)
    seen = [int((found == name).sum()) for name in shares]
    expected = [share * len(USERS) for share in shares.values()]
    rest = 1 - sum(shares.values())
    assert found.null_count() == pytest.approx(rest * len(USERS), abs=600)
    if rest > 1e-9:
        seen, expected = [*seen, found.null_count()], [*expected, rest * len(USERS)]
    assert stats.chisquare(seen, expected).pvalue > 0.001


def test_one_user_and_many_users_are_assigned_alike() -> None:
    arms = Assignment({"a": 0.3, "b": 0.3}, "test")
    units = pl.Series("user", [*map(str, range(200)), "ann", "Zoë", "7.0", None])
    found = arms.of_all(units).to_list()
    assert found[:200] == [arms.of(unit) for unit in range(200)]
    assert found[200:202] == [arms.of("ann"), arms.of("Zoë")]
    assert found[202] == arms.of(7)  # the canonical id
    assert found[203] is None
    assert None in found[:200]


def test_salts_are_independent() -> None:
    first, second = (Assignment(HALVES, salt).of_all(USERS) for salt in ("one", "two"))
    table = pl.DataFrame({"a": first, "b": second}).group_by("a", "b").len().sort("a", "b")
    assert stats.chi2_contingency(table["len"].to_numpy().reshape(2, 2)).pvalue > 0.001
    assert Assignment(HALVES, "one").of_all(USERS).equals(first)


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
    turned = dict(reversed(HALVES.items()))
    assert Assignment(HALVES, "s").of_all(USERS).equals(Assignment(turned, "s").of_all(USERS))
