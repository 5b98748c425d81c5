"""The hidden state of the drifting feed follows its closed forms."""

import numpy as np
import pytest
from scipy import stats

from crosstower.data.datasets.worlds.drift import CONTENT_TYPES, TOPICS, Drift, HiddenState

LIFETIME, ITEMS = 8.0, 400


def state(root: int = 0, *, users: int = 4, items: int = ITEMS, jumps: float = 0.02) -> HiddenState:
    return HiddenState(root, users=users, items=items, drift=Drift(0.97, jumps, LIFETIME))


@pytest.mark.parametrize("jumps", [0.0, 0.02, 0.3])
def test_tastes_are_stationary_and_their_correlation_falls_as_stated(jumps: float) -> None:
    drifting = state(users=20_000, items=1, jumps=jumps)
    first = drifting.tastes(0)
    for day in (0, 1, 5, 20):
        later = drifting.tastes(day)
        expected = ((1 - jumps) * 0.97) ** day
        assert np.mean(first * later) == pytest.approx(expected, abs=0.015)
        # The mean squared distance that follows from both: 2·(1 - correlation) per topic.
        distance = np.mean((later - first) ** 2)
        assert distance == pytest.approx(2 * (1 - expected), abs=0.03)
        assert stats.kstest(later.ravel()[::7], "norm").pvalue > 1e-4


def test_some_tastes_change_abruptly() -> None:
    drifting = state(users=20_000, items=1, jumps=0.05)
    moved = np.linalg.norm(drifting.tastes(4) - drifting.tastes(3), axis=1)
    # A step without a jump has length √(1-m²)·χ, about 0.24·2.8, up to 1.6 in 1 of 10⁵ cases.
    share = np.mean(moved > 1.7)
    far = stats.chi(len(TOPICS)).sf(1.7 / np.sqrt(2))  # two independent tastes differ by √2·χ
    assert share == pytest.approx(0.05 * far, abs=0.007)


def test_births_deaths_and_lifetimes_follow_their_distributions() -> None:
    drifting = state()
    drifting.reach(400)
    items, days = drifting.items, np.arange(1, 401)
    births = np.array([(items.born == day).sum() for day in days])
    assert births.mean() == pytest.approx(ITEMS / LIFETIME, abs=4 * np.sqrt(50 / 400))
    assert births.var() == pytest.approx(ITEMS / LIFETIME, rel=0.3)
    alive = np.array([len(drifting.alive(day)) for day in range(400)])
    died = np.array([(items.dies == day).sum() for day in range(1, 401)])
    assert died.sum() / alive.sum() == pytest.approx(1 / LIFETIME, rel=0.03)
    lived = (items.dies - items.born)[(items.born > 0) & (items.born < 300)]
    seen = np.bincount(lived.clip(max=30), minlength=31)[1:]
    pmf = stats.geom(1 / LIFETIME).pmf(np.arange(1, 31))
    pmf[-1] = 1 - pmf[:-1].sum()
    assert stats.chisquare(seen, pmf * len(lived)).pvalue > 1e-4


def test_the_number_of_items_alive_is_poisson_on_every_day() -> None:
    for day in (0, 3, 12):
        counts = [len(state(root, items=100).alive(day)) for root in range(300)]
        assert np.mean(counts) == pytest.approx(100, abs=4 * np.sqrt(100 / 300))
        assert np.var(counts) == pytest.approx(100, rel=0.35)


def test_a_trend_is_a_stationary_autoregression() -> None:
    drifting = state(items=400)
    drifting.reach(1_500)
    ids = np.array([np.flatnonzero(drifting.items.topic == t)[0] for t in range(len(TOPICS))])
    fade = 0.2 / LIFETIME
    fixed = drifting.items.appeal[ids] + fade * drifting.items.born[ids]
    trend = np.array(
        [drifting.popularity(ids, day) + fade * day - fixed for day in range(1_500)]
    )  # [days, topics]
    assert trend.std() == pytest.approx(0.5, rel=0.07)
    lag = np.mean(trend[1:] * trend[:-1]) / np.mean(trend**2)
    assert lag == pytest.approx(0.9, abs=0.02)


def test_pages_are_drawn_by_popularity_with_the_stated_propensity() -> None:
    drifting = state(items=12)
    ids = drifting.alive(0)
    weight = np.exp(drifting.popularity(ids, 0))
    share = dict(zip(ids.tolist(), weight / weight.sum(), strict=True))
    first = []
    for session in range(8_000):
        page, propensity = drifting.popular(ids, session, 0, 4)
        left = 1.0
        for item, given in zip(page.tolist(), propensity, strict=True):
            assert given == pytest.approx(share[item] / left)
            left -= share[item]
        assert len(set(page.tolist())) == 4
        first.append(int(page[0]))
    counts = [first.count(item) for item in ids.tolist()]
    assert stats.chisquare(counts, 8_000 * weight / weight.sum()).pvalue > 1e-4


def test_a_state_reached_at_once_or_day_by_day_is_the_same() -> None:
    slow, fast = state(), state()
    for day in range(10):
        slow.reach(day)
    fast.reach(9)
    np.testing.assert_array_equal(slow.tastes(9), fast.tastes(9))
    np.testing.assert_array_equal(slow.items.vector, fast.items.vector)


def test_items_show_topic_and_content_type() -> None:
    drifting = state()
    frame = drifting.items.frame(drifting.alive(0))
    assert set(frame["topic"]) == set(TOPICS)
    assert set(frame["content_type"]) == set(CONTENT_TYPES)
    own = drifting.items.vector - np.eye(len(TOPICS))[drifting.items.topic]
    assert np.mean((own**2).sum(axis=1)) == pytest.approx(0.15**2, rel=0.1)
