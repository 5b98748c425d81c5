import math

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from crosstower.data.datasets.worlds import description, make, world_names
from crosstower.data.datasets.worlds.rentals import listings, rental_relevance
from crosstower.data.datasets.worlds.restaurants import restaurant_table
from crosstower.data.datasets.worlds.watch_next import watch_next
from crosstower.errors import RecipeError
from crosstower.recipe.tasks import Binary

ROWS = 100_000


def binary_tasks() -> list[tuple[str, str, str]]:
    worlds = [make(name, rows=10) for name in world_names()]
    return [
        (world.name, name, task.true_probability)
        for world in worlds
        for name, task in world.schema.tasks.items()
        if isinstance(task, Binary) and task.true_probability
    ]


@pytest.mark.parametrize("name", world_names())
def test_the_same_seed_gives_the_same_rows(name: str) -> None:
    assert make(name, rows=500, seed=3).frame.equals(make(name, rows=500, seed=3).frame)
    assert not make(name, rows=500, seed=3).frame.equals(make(name, rows=500, seed=4).frame)


@pytest.mark.parametrize("name", world_names())
def test_the_frame_holds_what_the_schema_and_the_report_need(name: str) -> None:
    world = make(name, rows=37)
    needed = [*world.schema.sources(), *world.schema.label_sources(), world.group, *world.slices]
    assert set(needed) <= set(world.frame.columns)
    assert world.frame.height == 37
    assert len(description(name)) < 80


@pytest.mark.parametrize(("name", "task", "truth"), binary_tasks())
def test_labels_follow_the_true_probabilities(name: str, task: str, truth: str) -> None:
    frame = make(name, rows=ROWS).frame
    p, y = frame[truth], frame[task]
    assert p.is_between(0, 1).all()
    # Within each tenth of the probabilities the rate is the mean probability.
    for part in frame.with_columns(
        cut=p.rank("dense").cast(pl.Int64) * 10 // p.n_unique()
    ).partition_by("cut"):
        error = math.sqrt(float((part[truth] * (1 - part[truth])).mean()) / part.height)
        assert abs(part[task].mean() - part[truth].mean()) <= 4.5 * error + 1e-12
    assert y.is_in([0, 1]).all()


def test_app_installs_follow_the_formula() -> None:
    frame = make("app_installs", rows=ROWS).frame
    match = pl.col("user_id") % 10 == pl.col("app_id") % 10
    expected = 0.1 + 0.3 * match.cast(pl.Float64) - 0.05 * (pl.col("age") > 50).cast(pl.Float64)
    assert frame.select((expected - pl.col("installed_probability")).abs().max()).item() < 1e-12
    assert frame["user_id"].max() == 999
    assert frame["app_id"].max() == 49
    assert frame["location"].n_unique() == 10
    assert (frame["age"].min(), frame["age"].max()) == (10, 69)


def test_the_best_auc_of_app_installs_is_the_closed_form() -> None:
    young, match = 41 / 60, 0.1
    p = np.array([0.05, 0.1, 0.35, 0.4])
    share = np.array(
        [(1 - match) * (1 - young), (1 - match) * young, match * (1 - young), match * young]
    )
    positive, negative = share * p / (share * p).sum(), share * (1 - p) / (share * (1 - p)).sum()
    best = float((positive * (np.cumsum(negative) - negative / 2)).sum())
    frame = make("app_installs", rows=1_000_000).frame
    assert best == pytest.approx(0.6774, abs=5e-5)
    assert roc_auc_score(frame["installed"], frame["installed_probability"]) == pytest.approx(
        best, abs=0.003
    )


def test_watch_next_is_decided_by_the_match() -> None:
    frame = make("watch_next", rows=10_001).frame
    aligned = frame["user_id"] % 5 == frame["item_id"] % 5
    assert (aligned.cast(pl.Int8) == frame["did_watch"]).all()
    assert frame["did_watch"].sum() == 5_000
    watched = frame.filter(pl.col("did_watch") == 1)["watch_time"]
    other = frame.filter(pl.col("did_watch") == 0)["watch_time"]
    assert (watched.min(), watched.max()) == (1, 599)
    shares = other.value_counts(normalize=True).sort("watch_time")
    assert shares["watch_time"].to_list() == [0, 5, 10, 20]
    np.testing.assert_allclose(shares["proportion"], [0.7, 0.1, 0.1, 0.1], atol=0.02)


@pytest.mark.parametrize("items", [200, 300])
def test_watch_next_uses_the_whole_catalogue(items: int) -> None:
    frame = watch_next(20_000, np.random.default_rng(0), items=items)
    assert frame["item_id"].n_unique() == items
    assert frame["item_id"].max() == items - 1


def test_independent_labels_know_nothing_of_the_features() -> None:
    frame = make("watch_next_independent", rows=ROWS).frame
    aligned = (frame["user_id"] % 5 == frame["item_id"] % 5).cast(pl.Int8)
    assert roc_auc_score(frame["did_watch"], aligned) == pytest.approx(0.5, abs=0.01)
    assert frame["did_watch_probability"].unique().to_list() == [0.5]


def test_feed_engagement_follows_the_formula() -> None:
    frame = make("feed_engagement", rows=ROWS).frame
    photo = frame["content_type"] == "photo"
    keen, context = frame["user_id"] % 10 == 0, frame["context"]
    like = (
        0.3 + np.where(photo, 0.2, 0.1) + 0.05 * keen.to_numpy() + 0.03 * (context == 1).to_numpy()
    )
    comment = (
        0.1
        + np.where(photo, 0.05, 0.15)
        + 0.03 * keen.to_numpy()
        + 0.02 * (context == 2).to_numpy()
    )
    np.testing.assert_allclose(frame["like_probability"], like)
    np.testing.assert_allclose(frame["comment_probability"], comment)
    assert (
        frame.group_by("item_id").agg(pl.col("content_type").n_unique())["content_type"].max() == 1
    )


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


def test_the_relevance_of_rentals_can_be_asked_of_any_search_and_listing() -> None:
    frame = make("rentals", rows=ROWS).frame
    found = rental_relevance(frame.drop("relevance"))
    np.testing.assert_allclose(found, frame["relevance"], atol=1e-3)  # budgets are rounded to cents
    other = frame.with_columns(wanted=pl.lit("no such amenity"), home_city=pl.lit("Nowhere"))
    assert (rental_relevance(other) <= found).all()


def test_a_session_of_the_feed_is_of_one_user() -> None:
    frame = make("feed_engagement", rows=1_005).frame
    sessions = frame.group_by("session_id").agg(pl.col("user_id").n_unique(), pl.len())
    assert sessions["user_id"].max() == 1
    assert sorted(sessions["len"].unique()) == [5, 10]


def test_ratings_come_with_visits_only() -> None:
    frame = make("restaurants", rows=ROWS).frame
    assert frame.filter(pl.col("visit") == 0)["rating"].null_count() == (frame["visit"] == 0).sum()
    ratings = frame.filter(pl.col("visit") == 1)["rating"]
    assert ratings.null_count() == 0
    assert set(ratings.unique()) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_catalogues_stay_the_same_and_describe_themselves() -> None:
    assert listings().equals(listings())
    assert restaurant_table().equals(restaurant_table())
    vegan = restaurant_table().filter(pl.col("tags").list.contains("vegan"))
    assert vegan["text"].str.contains("vegan").all()


def test_an_unknown_world_is_refused_with_a_hint() -> None:
    with pytest.raises(RecipeError, match="no world 'rental'; did you mean 'rentals'"):
        make("rental")


def test_no_rows_are_refused() -> None:
    with pytest.raises(RecipeError, match="rows: expected at least 1, got 0"):
        make("rentals", rows=0)
