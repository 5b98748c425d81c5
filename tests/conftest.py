from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import settings

from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

from .fixtures.bandit import bandit_report, bandit_rows, bandit_run
from .fixtures.compared import rankers, retrievers
from .fixtures.counted_films import counted_films
from .fixtures.counted_rows import counted_run
from .fixtures.feed import feed_recipe, feed_run
from .fixtures.films import film_run, search_run
from .fixtures.funnels import blended, bundle, cinema, live, rentals
from .fixtures.live_films import live_films
from .fixtures.object_store import bucket, proxy, s3_server
from .fixtures.plots import blank_plots, drawn_plots
from .fixtures.postgres import own_postgres, postgres, postgres_server
from .fixtures.retrieved_films import retrieved_films
from .fixtures.several import together
from .fixtures.sourced_films import sourced_films
from .fixtures.tracked import store
from .fixtures.tuned import tuned

__all__ = [  # fixtures that several rooms use
    "bandit_report",
    "bandit_rows",
    "bandit_run",
    "blank_plots",
    "blended",
    "bucket",
    "bundle",
    "cinema",
    "counted_films",
    "counted_run",
    "drawn_plots",
    "feed_recipe",
    "feed_run",
    "film_run",
    "live",
    "live_films",
    "own_postgres",
    "postgres",
    "postgres_server",
    "proxy",
    "rankers",
    "rentals",
    "retrieved_films",
    "retrievers",
    "s3_server",
    "search_run",
    "sourced_films",
    "store",
    "together",
    "tuned",
]

# Examples are the same in every run, and a busy machine fails no test.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")

RECIPE = """
name: small
data: {path: rows.parquet}
schema:
  columns:
    user_id: categorical
    genre: categorical
    age: numeric
    tags: {kind: bag, max_len: 3}
    user_genre: {kind: cross, columns: [user_id, genre], hash_buckets: 500}
  tasks:
    click: binary
    watch_time: {kind: regression, log1p: true}
model: {name: wide_deep, embedding_dim: 4, hidden: [8]}
training: {epochs: 3, batch_size: 128, precision: float32, learning_rate: 0.01}
evaluation: {group: user_id, slices: [genre], baselines: [logistic_regression]}
"""


def rows(count: int = 1200, seed: int = 0) -> pl.DataFrame:
    """Impressions in which the genre decides about half of the clicks."""
    random = np.random.default_rng(seed)
    genre = random.integers(0, 4, count)
    click = random.random(count) < np.array([0.1, 0.3, 0.6, 0.9])[genre]
    return pl.DataFrame(
        {
            "user_id": random.integers(0, 30, count),
            "genre": np.array(["action", "comedy", "drama", "war"])[genre],
            "age": random.normal(40, 10, count),
            "tags": [["a", "b", "c"][: k + 1] for k in random.integers(0, 3, count)],
            "click": click.astype(np.int8),
            "watch_time": np.where(click, random.integers(1, 600, count), 0),
        }
    )


@pytest.fixture
def frame() -> pl.DataFrame:
    return rows()


@pytest.fixture
def recipe_text() -> str:
    return RECIPE


@pytest.fixture
def folder(tmp_path: Path, frame: pl.DataFrame) -> Path:
    """A folder with rows.parquet and small.yaml."""
    frame.write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "small.yaml").write_text(RECIPE)
    return tmp_path


@pytest.fixture
def recipe(folder: Path) -> Recipe:
    return parse_recipe(RECIPE, folder=folder)
