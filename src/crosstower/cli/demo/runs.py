"""Rankers and a retriever, trained on synthetic datasets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosstower.data.datasets import worlds
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Data, Evaluation, Recipe
from crosstower.storage.files import free_folder
from crosstower.training.run import Run


def demo_recipes(*, rows: int) -> dict[str, Recipe]:
    """Return the recipes of the demo by title."""
    installs = worlds.make("app_installs", rows=1)
    watch = worlds.make("watch_next_independent", rows=10)
    return {
        "App installs: DCN-V2 and Wide & Deep against the best possible AUC": Recipe(
            name="demo-app-installs",
            data=Data(path="world:app_installs", rows=rows),
            schema=installs.schema,
            model={"name": "dcn_v2"},
            evaluation=Evaluation(
                slices=("location",), baselines=("wide_deep", "mlp", "logistic_regression")
            ),
        ),
        "Watch next with random labels: an honest evaluation finds nothing": Recipe(
            name="demo-pure-chance",
            data=Data(path="world:watch_next_independent"),
            schema=watch.schema,
            model={"name": "wide_deep"},
            evaluation=Evaluation(baselines=("logistic_regression",)),
        ),
        "Watch next: retrieve a user's next video among all 200": _watch_next(),
    }


def _watch_next() -> Recipe:
    plain: dict[str, Any] = {
        "name": "demo-watch-next-retrieval",
        "data": {"path": "world:watch_next"},
        "schema": {"columns": {"user_id": "categorical", "item_id": "categorical"}},
        "model": {"name": "two_tower", "item": ["item_id"]},
        "retrieval": {"user": "user_id", "item": "item_id", "where": "did_watch == 1"},
        "training": {"embedding_learning_rate": 0.01},
    }
    return Recipe.model_validate(plain)


def demo_runs(out: Path, *, rows: int, seeds: int = 1) -> Iterator[tuple[str, Run]]:
    """Yield (title, finished run) for each recipe of the demo, in new folders of `out`."""
    for words, recipe in demo_recipes(rows=rows).items():
        yield words, fit(recipe, seeds=seeds, out=free_folder(out / recipe.name))
