"""Recipes of the short demo: of the same rows, with columns that these have."""

from pathlib import Path

import pytest

from crosstower.cli.demo.homes import CANDIDATES, homes_recipes
from crosstower.data.datasets import worlds
from crosstower.data.datasets.worlds.holiday_catalogue import HOMES
from crosstower.models.registry import config_of
from crosstower.recipe.validation import validate


@pytest.mark.parametrize("seed", [0, 3])
def test_both_stages_read_the_same_rows_with_the_same_seed(seed: int) -> None:
    retrieval, ranking = homes_recipes(Path("homes.parquet"), rows=1_234, seed=seed)
    assert retrieval.data == ranking.data
    assert ranking.data.rows == 1_234
    assert ranking.data.seed == retrieval.training.seed == ranking.training.seed == seed


def test_the_columns_are_those_of_the_world_and_never_the_truth() -> None:
    retrieval, ranking = homes_recipes(Path("homes.parquet"), rows=1_000, seed=0)
    columns = set(worlds.make("holiday_homes", rows=10).frame.columns)
    hidden = {"position", "propensity", "click_probability", "booking_probability"}
    assert set(ranking.schema_.sources()) <= columns - hidden
    assert set(retrieval.schema_.sources()) <= columns - hidden | {"history"}
    options = {k: v for k, v in ranking.model.items() if k != "name"}
    validate(config_of(ranking.model["name"]), options, where="model")
    assert 10 < CANDIDATES < HOMES
