"""Mean weights of experts, over all rows and by content type."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import crosstower as ct
from crosstower.errors import DataError, RunError
from crosstower.training.run import Run

from .test_side_by_side import mixed

__all__ = ["mixed"]


def test_weights_are_means_over_the_rows(mixed: Run) -> None:
    rows = ct.worlds.make("feed_engagement", rows=300, seed=5).frame
    found = mixed.gates(rows, by="content_type")
    assert found.columns == ["content_type", "task", "expert", "shared", "weight", "sd"]
    assert found["shared"].all()
    sums = found.group_by("content_type", "task").agg(pl.col("weight").sum())["weight"]
    assert sums.to_numpy() == pytest.approx(1.0)
    model: Any = mixed.model()
    photos = rows.filter(content_type="photo")
    ranker = ct.Ranker.open(mixed)
    batch = mixed.encoder.encode(ranker.scorer().cleaner().clean(chunk_of(photos)))
    with torch.no_grad():
        weights = model.gates(batch)["like"].numpy()
    part = found.filter(content_type="photo", task="like")
    assert part["weight"].to_numpy() == pytest.approx(weights.mean(axis=0), abs=1e-6)
    assert part["sd"].to_numpy() == pytest.approx(weights.std(axis=0), abs=1e-6)
    whole = mixed.gates(rows)
    assert (whole.columns, whole.height) == (["task", "expert", "shared", "weight", "sd"], 2 * 3)


def test_own_experts_of_ple_come_before_shared_ones() -> None:
    """A bias column is not read: gates are those of the model that serves."""
    world = ct.worlds.make("feed_engagement", rows=600, seed=0)
    experts = {"specific_experts": 2, "shared_experts": 1, "levels": 2}
    recipe = ct.Recipe(
        schema=world.schema,
        bias=["context"],
        model={"name": "ple", **experts, "trunk": {"name": "mlp", "hidden": [8]}},
        training=ct.Training(epochs=1),
        evaluation=ct.Evaluation(baselines=[]),
    )
    ranker = ct.Ranker.open(ct.fit(recipe, train=world.frame, quiet=True))
    rows = world.frame.head(50).drop("context")
    found = ranker.gates(rows)
    assert found["expert"].to_list() == [0, 1, 2] * 2
    assert found["shared"].to_list() == [False, False, True] * 2
    model: Any = ranker.model.main
    batch = ranker.encoder.encode(ranker.scorer().cleaner().clean(chunk_of(rows)))
    with torch.no_grad():
        weights = model.gates(batch)
    for task in ("like", "comment"):
        expected = weights[task].mean(dim=0).numpy()
        assert found.filter(task=task)["weight"].to_numpy() == pytest.approx(expected, abs=1e-6)


def test_rows_and_models_that_do_not_fit_are_named(mixed: Run, feed_run: Run) -> None:
    rows = ct.worlds.make("feed_engagement", rows=20, seed=5).frame
    with pytest.raises(RunError, match="shared_bottom has no gates; train model: mmoe, or ple"):
        feed_run.gates(rows)
    with pytest.raises(DataError, match="no column 'kind'"):
        mixed.gates(rows, by="kind")
    assert np.isfinite(mixed.gates(rows.drop("like", "comment"))["weight"].to_numpy()).all()


def chunk_of(frame: pl.DataFrame) -> Any:
    from crosstower.data.sources.source import Chunk

    return Chunk(frame, "rows", 0, 0)
