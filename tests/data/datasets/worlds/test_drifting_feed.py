"""The drifting feed: true probabilities, values and responses of lists."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from crosstower.data.datasets.worlds import DriftingFeed, Session, make
from crosstower.data.datasets.worlds.drift import DAY, START
from crosstower.data.datasets.worlds.drifting_feed import LIKE_WORTH
from crosstower.errors import DataError, RecipeError

CLICK = {"article": -2.5, "photo": -2.0, "video": -1.5}
LIKE = {"article": -0.5, "photo": -1.0, "video": -2.0}


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def session_at(day: int, user: int = 0, number: int = 0) -> Session:
    return Session(number, user, START + DAY * day + 60)


def test_probabilities_follow_the_formula() -> None:
    feed = DriftingFeed(seed=1, users=3, items=40)
    session = session_at(4, user=2)
    shown = feed.items(4)
    click, like = feed.probabilities(session, shown["item_id"].to_list())
    state = feed._state
    taste = state.tastes(4)[2].tolist()
    for row, p, q in zip(shown.iter_rows(named=True), click, like, strict=True):
        vector = state.items.vector[row["item_id"]].tolist()
        fit = sum(a * b for a, b in zip(taste, vector, strict=True))
        popularity = state.popularity(np.array([row["item_id"]]), 4).item()
        assert p == pytest.approx(sigmoid(CLICK[row["content_type"]] + 1.5 * fit + popularity))
        assert q == pytest.approx(sigmoid(LIKE[row["content_type"]] + 0.75 * fit))


@pytest.mark.slow
def test_responses_follow_the_probabilities_and_the_examination_curve() -> None:
    frame = DriftingFeed(seed=0, users=400, items=200).log(60_000)
    at = frame.group_by("position").agg(
        pl.len(),
        pl.col("click", "click_probability", "like", "like_probability").sum(),
        (pl.col("click_probability") * (1 - pl.col("click_probability"))).sum().alias("variance"),
    )
    for row in at.iter_rows(named=True):
        gap = row["click"] - row["click_probability"]
        assert abs(gap) < 4 * math.sqrt(row["variance"])
        assert abs(row["like"] - row["like_probability"]) < 4 * math.sqrt(row["like_probability"])
    # Undone by the known curve, the rate of a click given a look no longer falls with the place,
    # beyond the popularity that the logging policy ranks by.
    per_place = dict(
        zip(at["position"].to_list(), (at["click"] / at["len"]).to_list(), strict=True)
    )
    assert per_place[1] > 2.5 * per_place[10]
    assert per_place[1] < 1.5 * math.sqrt(10) * per_place[10]


def test_the_log_shows_no_item_that_its_user_has_clicked() -> None:
    frame = DriftingFeed(seed=0, users=5, items=80, lifetime=100).log(4_000).with_row_index()
    first = frame.filter(pl.col("click") == 1).select("user_id", "item_id", at="index")
    again = frame.join(first, on=["user_id", "item_id"]).filter(pl.col("index") > pl.col("at"))
    assert first.height > 100
    assert again.height == 0


def test_a_list_is_worth_its_expected_clicks_and_likes() -> None:
    feed = DriftingFeed(seed=2, users=20, items=60)
    session = feed.sessions(0)[0]
    shown = feed.items(0)["item_id"][:10].to_list()
    value = feed.value(session, shown)
    found = feed.respond(session, shown)
    expected = found["click_probability"].sum() + LIKE_WORTH * found["like_probability"].sum()
    assert value == pytest.approx(expected)


def test_the_best_list_is_the_best_of_all_lists() -> None:
    feed = DriftingFeed(seed=3, users=5, items=7)
    for session in feed.sessions(2)[:5]:
        alive = feed.items(2)["item_id"].to_list()
        best = max(feed.value(session, order) for order in itertools.permutations(alive, 3))
        assert feed.value(session, feed.best(session, 3)) == pytest.approx(best)
        feed.respond(session, feed.best(session, 3))


def test_an_item_is_clicked_once_at_most() -> None:
    feed = DriftingFeed(seed=0, users=2, items=30, lifetime=1_000)
    clicked: set[int] = set()
    for number in range(200):
        session = session_at(0, number=number)
        found = feed.respond(session, feed.items(0)["item_id"].to_list())
        new = set(found.filter(pl.col("click") == 1)["item_id"].to_list())
        assert not new & clicked
        clicked |= new
        click, _ = feed.probabilities(session, feed.items(0)["item_id"].to_list())
        assert {
            i for i, p in zip(feed.items(0)["item_id"], click, strict=True) if p == 0
        } == clicked
    assert len(clicked) > 20
    other = feed.probabilities(session_at(0, user=1), sorted(clicked))[0]
    assert (other > 0).all()


def test_a_dead_item_is_never_clicked() -> None:
    feed = DriftingFeed(seed=0, users=2, items=50, lifetime=3)
    gone = sorted(set(feed.items(0)["item_id"]) - set(feed.items(6)["item_id"]))
    assert len(gone) > 30
    assert (feed.probabilities(session_at(0), gone)[0] > 0).all()
    assert (feed.probabilities(session_at(6), gone)[0] == 0).all()


def test_what_is_shown_changes_neither_the_world_nor_the_luck_of_others() -> None:
    one, two = DriftingFeed(seed=5, users=10), DriftingFeed(seed=5, users=10)
    for day in range(3):
        assert one.items(day).equals(two.items(day))
        for session in one.sessions(day):
            one.respond(session, one.best(session))
    last = one.sessions(3)[0]
    assert last == two.sessions(3)[0]
    fresh = one.items(3).filter(pl.col("born") == START + 3 * DAY)["item_id"].to_list()
    assert len(fresh) > 5
    assert one.respond(last, fresh).equals(two.respond(last, fresh))


def test_sessions_are_poisson_and_sorted_within_their_day() -> None:
    feed = DriftingFeed(seed=0, users=300, sessions=1.5)
    counts = []
    for day in range(40):
        sessions = feed.sessions(day)
        times = [s.timestamp for s in sessions]
        assert times == sorted(times)
        assert {s.day for s in sessions} == {day}
        counts.append(len(sessions))
    assert len({s.session_id for day in range(5) for s in feed.sessions(day)}) == sum(counts[:5])
    assert np.mean(counts) == pytest.approx(450, abs=4 * math.sqrt(450 / 40))
    assert np.var(counts) == pytest.approx(450, rel=0.6)


def test_make_gives_the_first_rows_of_the_log() -> None:
    frame = make("drifting_feed", rows=500, seed=7).frame
    assert frame.equals(DriftingFeed(seed=7).log(500))
    assert DriftingFeed(seed=7).log(500, day=3)["timestamp"].min() >= START + 3 * DAY


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"users": 0}, "users: expected at least 1, got 0"),
        ({"taste_memory": 1.5}, "taste_memory: expected a number from 0 to 1, got 1.5"),
        ({"taste_jumps": -0.1}, "taste_jumps: expected a number from 0 to 1, got -0.1"),
        ({"lifetime": 0.5}, "lifetime: expected a number from 1 to 1e.06, got 0.5"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"sessions": "2"}, "sessions: expected a number from 0.01 to 1000, got '2'"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(RecipeError, match=f"drifting feed: {words}"):
        DriftingFeed(**wrong)  # pyright: ignore[reportArgumentType]


def test_lists_that_the_feed_does_not_know_are_refused() -> None:
    feed = DriftingFeed(seed=0, users=2, items=20)
    newest = feed.items(5)["item_id"].max()
    with pytest.raises(DataError, match="user 2: expected a user of the feed, 0 to 1"):
        feed.value(session_at(0, user=2), [0])
    with pytest.raises(DataError, match=f"item {newest}: does not exist on day 0"):
        feed.value(session_at(0), [0, newest])
    with pytest.raises(DataError, match="expected each item once"):
        feed.respond(session_at(0), [1, 1])
    with pytest.raises(DataError, match=r"items \[1.5\]: expected a list of integer ids"):
        feed.respond(session_at(0), [1.5])  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="expected at least 1704067200, day 0"):
        feed.value(session_at(-1), [1])
    with pytest.raises(DataError, match="k: expected at least 1, got 0"):
        feed.best(session_at(0), k=0)
    with pytest.raises(DataError, match="rows: expected at least 1, got 0"):
        feed.log(0)
    assert feed.value(session_at(0), []) == 0.0
    with pytest.raises(RecipeError, match="day: expected a number from 0"):
        feed.sessions(-1)
