"""A small run on the feed world, trained once."""

import pytest

from crosstower.data.datasets import worlds
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Data, Evaluation, Recipe, Training
from crosstower.training.run import Run

ROWS = 40_000


@pytest.fixture(scope="session")
def feed_recipe() -> Recipe:
    return Recipe(
        name="feed",
        data=Data(path="world:feed_engagement", rows=ROWS),
        schema=worlds.make("feed_engagement", rows=1).schema,
        model={
            "name": "shared_bottom",
            "embedding_dim": 4,
            "trunk": {"name": "mlp", "hidden": [16]},
        },
        training=Training(
            epochs=2, batch_size=256, embedding_learning_rate=0.01, precision="float32"
        ),
        evaluation=Evaluation(group="user_id", baselines=()),
    )


@pytest.fixture(scope="session")
def feed_run(feed_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(feed_recipe, out=tmp_path_factory.mktemp("runs") / "feed", seeds=2, quiet=True)
