import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import crosstower as ct
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, RecipeError
from crosstower.fitting.fit import fit
from crosstower.fitting.prepared import prepare
from crosstower.training.history import history

COLUMNS = {"item": "categorical", "x": "numeric"}


def rows(requests: int = 60, *, seed: int = 0) -> pl.DataFrame:
    """Requests of 1 to 9 rows, of which the ones with a high x are clicked."""
    random = np.random.default_rng(seed)
    sizes = np.append(40, random.integers(1, 6, requests - 1))
    request = np.repeat(np.arange(requests), sizes)
    x = random.normal(size=len(request))
    mood = random.normal(size=requests)[request] * 3  # shifts a whole request
    click = (x + random.normal(scale=0.5, size=len(x)) > 0.5).astype(int)
    frame = {"request": request, "item": random.integers(0, 9, len(x)), "x": x + mood}
    return pl.DataFrame({**frame, "click": click, "w": random.integers(0, 3, len(x))})


def recipe_of(**task: Any) -> ct.Recipe:
    return ct.Recipe.model_validate(
        {
            "schema": {"columns": COLUMNS, "tasks": {"click": {"kind": "binary", **task}}},
            "model": {"name": "mlp", "hidden": [8]},
            "evaluation": {"baselines": []},
            "training": {"group": "request", "batch_size": 32, "epochs": 3, "precision": "float32"},
        }
    )


def split(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    part = pl.col("request") % 3
    wanted = {"train": part == 0, "valid": part == 1, "test": part == 2}
    return {name: frame.filter(rows) for name, rows in wanted.items()}


@pytest.mark.parametrize("loss", ["ranknet", "bpr", "softmax", {"name": "jrc", "alpha": 0.1}])
def test_a_ranker_learns_by_groups_and_says_what_it_found(loss: Any, tmp_path: Path) -> None:
    run = fit(recipe_of(loss=loss, sample_weight="w"), data=split(rows()), out=tmp_path / "a",
              quiet=True)  # fmt: skip
    valid = history(run, "mlp", 0)[-1]["valid"]
    assert {"click.ndcg@10", "click.mrr@10", "click.gauc", "click.weighted_log_loss"} <= set(valid)
    monitor = history(run, "mlp", 0)[0]["monitor"]
    name = loss["name"] if isinstance(loss, dict) else loss
    assert monitor == ("click.weighted_log_loss" if name == "jrc" else "click.ndcg@10")
    notes = "\n".join(run.info.facts.notes)
    assert re.search(r"training.group 'request': 20 groups of 1 to 40 training rows", notes)
    assert "1 are longer than a batch of 32 rows and are divided at random" in notes
    assert re.search(rf"'click': in \d+ of 20 groups .* equal or missing; loss '{name}' ", notes)
    assert ("learns an order, so its predictions are not probabilities" in notes) == (name != "jrc")
    assert "NDCG@10" in (run.folder / "report.html").read_text()
    assert run.metrics["tasks"]["click"]["mlp"]["ndcg@10"]["mean"] > 0.5


def test_the_counts_are_those_of_the_training_rows(tmp_path: Path) -> None:
    frame = split(rows())
    run = fit(recipe_of(loss="bpr"), data=frame, out=tmp_path / "a", quiet=True)
    sizes = frame["train"].group_by("request").agg(pl.len(), pl.col("click").n_unique().alias("n"))
    one, equal = (sizes["len"] == 1).sum(), (sizes["n"] == 1).sum()
    notes = "\n".join(run.info.facts.notes)
    assert f"({sizes['len'].mean():.1f} on average); {one} have one row" in notes
    assert f"'click': in {equal} of {sizes.height} groups" in notes


@pytest.mark.slow
def test_a_resumed_training_and_prepared_rows_give_the_same_weights(tmp_path: Path) -> None:
    recipe, frame = recipe_of(loss="softmax", sample_weight="w"), split(rows())
    whole = fit(recipe, data=frame, out=tmp_path / "whole", quiet=True)
    short = recipe.training.model_copy(update={"epochs": 1})
    part = recipe.model_copy(update={"training": short})
    fit(part, data=frame, out=tmp_path / "part", quiet=True)
    resumed = fit(recipe, data=frame, out=tmp_path / "part", resume=True, quiet=True)
    files = {name: tmp_path / f"{name}.parquet" for name in frame}
    for name, table in frame.items():
        table.write_parquet(files[name])
    data = {"path": str(files["train"]), "valid": str(files["valid"]), "test": str(files["test"])}
    named = recipe.model_copy(
        update={"data": recipe.data.model_validate({**data, "split": {"kind": "given"}})}
    )
    prepare(named, tmp_path / "rows", quiet=True)
    stored = fit(named, prepared=tmp_path / "rows", out=tmp_path / "stored", quiet=True)
    losses = [[r["train_loss"] for r in history(r, "mlp", 0)] for r in (whole, resumed, stored)]
    assert losses[0] == losses[1] == losses[2]
    assert whole.info.facts.notes == stored.info.facts.notes


def test_a_warm_start_goes_on_by_groups(tmp_path: Path) -> None:
    recipe = recipe_of(loss="ranknet")
    first = fit(recipe, data=split(rows()), out=tmp_path / "a", quiet=True)
    second = fit(recipe, data=split(rows()), out=tmp_path / "b", warm_start=first, quiet=True)
    start, end = (history(run, "mlp", 0)[0]["train_loss"] for run in (first, second))
    assert end < start


def test_other_weights_are_other_rows(tmp_path: Path) -> None:
    recipe, frame = recipe_of(sample_weight="w"), split(rows())
    fit(recipe, data=frame, out=tmp_path / "a", quiet=True)
    frame["train"] = frame["train"].with_columns(w=pl.col("w") + 1)
    with pytest.raises(ct.RunError, match="the rows have changed since"):
        fit(recipe, data=frame, out=tmp_path / "a", resume=True, quiet=True)


def test_a_loss_of_groups_needs_a_group() -> None:
    recipe = recipe_of(loss="bpr").model_copy(update={"training": ct.Training()})
    with pytest.raises(RecipeError, match=r"click.loss: 'bpr' compares .* set training.group to a"):
        fit(recipe, data=rows(), quiet=True)


def test_a_row_without_a_group_is_refused_by_its_number(tmp_path: Path) -> None:
    frame = split(rows())
    frame["train"] = frame["train"].with_columns(
        request=pl.when(pl.col("item") == 3).then(None).otherwise("request")
    )
    with pytest.raises(DataError, match="'request': expected the id of a group, got None in row"):
        fit(recipe_of(loss="bpr"), data=frame, out=tmp_path / "a", quiet=True)


def test_rows_beyond_the_memory_are_refused_before_a_run_is_written(tmp_path: Path) -> None:
    recipe = recipe_of(loss="bpr")
    data = recipe.data.model_copy(update={"memory_mb": 0.001})
    with pytest.raises(DataError, match=r"need the training rows in memory"):
        fit(recipe.model_copy(update={"data": data}), data=split(rows()), out=tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("weights", [{0: 2, 1: 10}, "balanced"])
def test_class_weights_are_taken_out_of_predictions(weights: Any, tmp_path: Path) -> None:
    """Odds are multiplied by 5, or about 4, in training, and predictions are right all the same."""
    random = np.random.default_rng(1)
    frame = pl.DataFrame({"x": random.normal(size=3000), "item": random.integers(0, 3, 3000)})
    frame = frame.with_columns(click=random.random(3000) < 0.2, request=pl.int_range(3000))
    plain = recipe_of(class_weight=weights)
    training = plain.training.model_copy(
        update={"group": None, "epochs": 8, "batch_size": 64, "learning_rate": 3e-3}
    )
    recipe = plain.model_copy(update={"training": training})
    run = fit(recipe, data=frame, out=tmp_path / "a", quiet=True)
    test = pl.read_parquet(run.model_folder("mlp", 0) / "test.parquet")
    assert test["click__prediction"].mean() == pytest.approx(0.2, abs=0.04)
    batch = run.encoder.encode(ct.Ranker.open(run).scorer().cleaner().clean(Chunk(frame, "", 0, 0)))
    with torch.no_grad():
        logits = run.model()(batch)["click"]
    assert logits.sigmoid().mean() == pytest.approx(0.53, abs=0.06)  # of odds 4.5 times as high


def test_a_bundle_scores_rows_without_groups_weights_and_labels(tmp_path: Path) -> None:
    recipe = recipe_of(loss="jrc", sample_weight="w", class_weight={1: 3.0})
    run = fit(recipe, data=split(rows()), out=tmp_path / "a", quiet=True)
    bundle = ct.make_bundle(run, tmp_path / "bundle")
    new = rows(seed=2).select("item", "x").head(20)
    expected = run.predict(new)["click__prediction"]
    assert bundle.ranker.predict(new)["click__prediction"].equals(expected)
    scorer = bundle.fastest(bundle.ranker.scorer())[0]
    served = scorer.score(scorer.cleaner().clean(Chunk(new, "rows", 0, 0)))["click__prediction"]
    assert served.to_list() == pytest.approx(expected.to_list(), abs=1e-6)


@pytest.mark.parametrize("empty", ["train", "valid"])
def test_weights_that_leave_no_row_are_refused(empty: str, tmp_path: Path) -> None:
    frame = split(rows())
    frame[empty] = frame[empty].with_columns(w=pl.lit(0))
    words = f"task 'click': all labelled {empty} rows have the weight 0 in 'w'; give some"
    with pytest.raises(DataError, match=words):
        fit(recipe_of(sample_weight="w"), data=frame, out=tmp_path / "a", quiet=True)
