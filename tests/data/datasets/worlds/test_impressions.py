"""Pages of impressions with position bias."""

import numpy as np
import polars as pl
import pytest

from crosstower.data.datasets.worlds import make
from crosstower.data.datasets.worlds.impressions import PAGE, POOL, draw, pick, show

ROWS = 100_000


@pytest.mark.parametrize(("name", "answer"), [("rentals", "booking"), ("restaurants", "visit")])
def test_deeper_answers_need_a_click(name: str, answer: str) -> None:
    frame = make(name, rows=ROWS).frame
    assert frame.filter(pl.col("click") == 0)[answer].sum() == 0
    assert frame[answer].sum() > 100


@pytest.mark.parametrize("name", ["rentals", "restaurants"])
def test_pages_show_distinct_items_with_a_logged_propensity(name: str) -> None:
    frame = make(name, rows=5_005).frame
    item = "listing_id" if name == "rentals" else "restaurant_id"
    pages = frame.group_by("request_id").agg(pl.col(item).n_unique(), pl.len())
    assert (pages[item] == pages["len"]).all()
    assert frame["position"].is_between(1, 10).all()
    assert frame["propensity"].is_between(0, 1).all()
    # With a pool of 30 and no replacement the mean draw is at least uniform.
    first = frame.filter(pl.col("position") == 1)["propensity"].mean()
    assert first > 1 / 30


@pytest.mark.parametrize("name", ["rentals", "restaurants"])
def test_clicks_fall_with_the_position(name: str) -> None:
    frame = make(name, rows=ROWS).frame
    bias = (frame["click_probability"] / frame["relevance"]).to_numpy()
    np.testing.assert_allclose(bias, 1 / np.sqrt(frame["position"].to_numpy()))
    schema = make(name, rows=1).schema
    assert not {"position", "propensity", "relevance"} & set(schema.sources())


def test_draws_follow_the_popularity_and_the_logged_propensity() -> None:
    """The first place is drawn from a pool of 30 with probability proportional to popularity."""
    popularity = np.exp(np.random.default_rng(1).normal(size=POOL))
    shown = show(200_000, np.random.default_rng(0), users=5, popularity=popularity)
    first = shown.position == 1
    expected = popularity / popularity.sum()  # the pool is the whole catalogue
    rates = np.bincount(shown.item[first], minlength=POOL) / first.sum()
    np.testing.assert_allclose(rates, expected, atol=5 * np.sqrt(0.1 / first.sum()))
    np.testing.assert_allclose(shown.propensity[first], expected[shown.item[first]])
    second = shown.position == 2
    left = 1 - expected[shown.item[first]]
    np.testing.assert_allclose(shown.propensity[second], expected[shown.item[second]] / left)


def test_the_last_page_may_be_cut() -> None:
    shown = show(13, np.random.default_rng(0), users=5, popularity=np.ones(60))
    assert shown.request.tolist() == [0] * PAGE + [1] * 3
    assert shown.position.tolist() == [*range(1, 11), 1, 2, 3]
    np.testing.assert_allclose(shown.examined, shown.position**-0.5)


def test_values_are_drawn_and_picked_per_row() -> None:
    drawn = draw(np.random.default_rng(0), np.array([0.0, 1.0, 0.0, 1.0]))
    assert drawn.tolist() == [0, 1, 0, 1]
    assert pick(["a", "b"], np.array([1, 0, 1])) == ["b", "a", "b"]
