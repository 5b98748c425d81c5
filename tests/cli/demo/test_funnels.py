"""Funnels of the demo: recipes that go together, and a value that is known of each list."""

from pathlib import Path

import numpy as np
import pytest

from crosstower.cli.demo import funnels
from crosstower.data.datasets import worlds
from crosstower.data.datasets.worlds.rentals import listings
from crosstower.models.registry import config_of
from crosstower.recipe.validation import validate


@pytest.fixture
def plans(tmp_path: Path) -> list[funnels._Plan]:
    return [funnels._rentals(500, tmp_path / "listings.parquet"), funnels._feed(500)]


def test_both_stages_read_the_same_rows_and_the_columns_that_these_have(
    plans: list[funnels._Plan],
) -> None:
    for plan in plans:
        assert plan.retrieval.data == plan.ranking.data
        assert plan.ranking.blend is not None
        world = (plan.ranking.data.path or "").removeprefix("world:")
        columns = set(worlds.make(world, rows=10).frame.columns)
        assert set(plan.ranking.schema_.sources()) <= columns
        assert set(plan.retrieval.schema_.sources()) <= columns
        options = {k: v for k, v in plan.ranking.model.items() if k != "name"}
        validate(config_of(plan.ranking.model["name"]), options, where="model")


def test_the_value_of_a_rental_is_its_expected_revenue(plans: list[funnels._Plan]) -> None:
    frame = worlds.make("rentals", rows=400).frame
    dearer = plans[0].truth(frame) / frame["price"].to_numpy()
    np.testing.assert_allclose(dearer, 0.3 * frame["relevance"].to_numpy() ** 2, atol=2e-3)
    assert listings()["listing_id"].n_unique() == 1_500


def test_a_comment_of_the_feed_is_worth_two_likes(plans: list[funnels._Plan]) -> None:
    frame = worlds.make("feed_engagement", rows=400).frame
    expected = frame["like_probability"] + 2 * frame["comment_probability"]
    np.testing.assert_allclose(plans[1].truth(frame), expected)
