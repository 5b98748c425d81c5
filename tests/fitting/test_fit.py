import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import crosstower as ct
from crosstower.errors import DataError, RecipeError, RunError, TrainingError
from crosstower.fitting.fit import fit
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.ranking.calibration.calibrators import load_calibrators
from crosstower.ranking.results import stored_predictions, task_reports
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tasks import Regression
from crosstower.training.history import history
from crosstower.training.progress import Watcher
from crosstower.training.run import Run
from crosstower.training.trainer import TrainingInterruptedError


def quick(recipe: Recipe, out: Path, **options: Any) -> Run:
    return fit(recipe, out=out, quiet=True, **options)


@pytest.mark.slow
def test_a_run_folder_holds_everything(recipe: Recipe, tmp_path: Path) -> None:
    run = quick(recipe, tmp_path / "runs" / "a", seeds=2)
    files = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
    trainings = {
        f"models/{model}/seed-{seed}/{file}"
        for model in ("wide_deep", "logistic_regression")
        for seed in (0, 1)
        for file in (
            "best.safetensors",
            "last.safetensors",
            "metrics.jsonl",
            "valid.parquet",
            "test.parquet",
        )
    }
    encoder = {f for f in files if f.startswith("encoder/")}
    alone = {"recipe.yaml", "run.json", "metrics.json", "report.html", "fingerprints.parquet"}
    explained = {"importance.json", "background.safetensors"}
    assert files - encoder == trainings | alone | explained
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["a"]


def test_the_model_learns_and_beats_the_constant(recipe: Recipe, tmp_path: Path) -> None:
    metrics = quick(recipe, tmp_path / "a").metrics
    click = metrics["tasks"]["click"]
    assert click["wide_deep"]["auc"]["mean"] > 0.75
    assert click["wide_deep"]["log_loss"]["mean"] < click["Constant base rate"]["log_loss"]["mean"]
    assert metrics["tasks"]["watch_time"]["wide_deep"]["rmse"]["mean"] > 0
    assert metrics["training"]["wide_deep"]["0"]["epochs"] <= 3
    assert metrics["peak_memory_mb"] > 10


@pytest.mark.slow
def test_seeds_differ_and_repeat(recipe: Recipe, tmp_path: Path) -> None:
    one, other = (quick(recipe, tmp_path / name, seeds=2) for name in ("a", "b"))
    weights = [
        load_file(run.model_folder("wide_deep", seed) / "best.safetensors")
        for run in (one, other)
        for seed in (0, 1)
    ]
    name = next(n for n in weights[0] if n.startswith("model.mlp") and weights[0][n].ndim == 2)
    assert torch.equal(weights[0][name], weights[2][name])
    assert not torch.equal(weights[0][name], weights[1][name])


@pytest.mark.slow
def test_a_frame_and_a_schema_are_enough(frame: pl.DataFrame, tmp_path: Path) -> None:
    schema = ct.Schema(columns={"genre": "categorical"}, tasks={"click": "binary"})  # type: ignore[arg-type]
    run = ct.fit(schema, data=frame.to_pandas(), out=tmp_path / "a", quiet=True)
    assert run.recipe.model == {"name": "dcn_v2"}
    assert run.metrics["tasks"]["click"]["dcn_v2"]["auc"]["mean"] > 0.65


def test_a_folder_that_is_there_is_never_overwritten(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").write_text("precious")
    with pytest.raises(RunError, match=r"already exists.*--out, remove it$"):
        quick(recipe, tmp_path / "a")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("override", "error", "words"),
    [
        ("data.path=nothing.parquet", DataError, "no such file"),
        ("model.name=dcn_v3", RecipeError, "no model 'dcn_v3'; did you mean 'dcn_v2'"),
        ("model.hiden=[3]", RecipeError, "model.hiden: unknown key; did you mean 'hidden'"),
        ("model.wide_columns=[gender]", RecipeError, "no coded column 'gender'; did you mean"),
        ("evaluation.baselines=[none]", RecipeError, "no model 'none'"),
        ("training.monitor=click.auk", RecipeError, "metric 'auk'.*did you mean 'auc'"),
        ("schema.columns.sex=categorical", DataError, "no column 'sex'"),
        ("schema.tasks.click.threshold=2", DataError, "all .* labels of the train split are 0"),
    ],
)
def test_a_failure_before_training_writes_nothing(
    recipe_text: str, folder: Path, override: str, error: type[Exception], words: str
) -> None:
    before = set(folder.iterdir())
    text = recipe_text.replace("click: binary", "click: {kind: binary}")
    with pytest.raises(error, match=words):
        quick(parse_recipe(text, [override], folder=folder), folder / "a")
    assert set(folder.iterdir()) == before


def test_no_seeds_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="seeds: expected at least 1, got 0"):
        quick(recipe, tmp_path / "a", seeds=0)


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Press Ctrl-C once, after that many steps of any training."""
    count, advance = iter(range(1_000_000)), Watcher.advance

    def press(self: Watcher, *, rows: int, loss: float) -> None:
        advance(self, rows=rows, loss=loss)
        if next(count) == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Watcher, "advance", press)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 12, 30])
def test_an_interrupted_run_goes_on_to_equal_weights(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole = quick(recipe, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(TrainingInterruptedError, match=f"crosstower fit --resume {tmp_path}"):
            quick(recipe, tmp_path / "cut")
    with pytest.raises(RunError, match="has not finished"):
        _ = Run.open(tmp_path / "cut").metrics
    cut = quick(recipe, tmp_path / "cut", resume=True)
    for model in whole.info.models:
        for file in ("best.safetensors", "last.safetensors"):
            one, other = (load_file(r.model_folder(model, 0) / file) for r in (whole, cut))
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.metrics["tasks"] == cut.metrics["tasks"]
    lines = (cut.model_folder("wide_deep", 0) / "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["epoch"] for line in lines]
    assert epochs == sorted(set(epochs))


@pytest.mark.slow
def test_resuming_a_finished_run_changes_nothing(recipe: Recipe, tmp_path: Path) -> None:
    run = quick(recipe, tmp_path / "a")
    before = run.metrics["tasks"]
    assert quick(recipe, tmp_path / "a", resume=True).metrics["tasks"] == before


def test_resuming_with_another_recipe_is_refused(
    recipe: Recipe, recipe_text: str, folder: Path
) -> None:
    quick(recipe, folder / "a")
    other = parse_recipe(recipe_text, ["training.learning_rate=0.5"], folder=folder)
    with pytest.raises(
        RunError, match=r"another recipe \(training\.learning_rate: 0\.01, now 0\.5\)"
    ):
        quick(other, folder / "a", resume=True)


@pytest.mark.slow
def test_resuming_with_other_rows_is_refused(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    quick(recipe, tmp_path / "a")
    with pytest.raises(RunError, match="the rows have changed"):
        quick(recipe, tmp_path / "a", data=frame.head(1000), resume=True)


def test_resuming_nothing_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run in this folder"):
        quick(recipe, tmp_path / "a", resume=True)


def test_a_loss_that_explodes_names_step_and_columns_and_keeps_the_checkpoint(
    recipe_text: str, folder: Path, frame: pl.DataFrame
) -> None:
    text = recipe_text.replace("age: numeric", "age: {kind: numeric, transform: none}")
    wild = frame.with_columns(
        age=pl.when(pl.int_range(pl.len()) == 600).then(3e38).otherwise("age")
    )
    recipe = parse_recipe(text, ["training.clip_norm=null"], folder=folder)
    with pytest.raises(TrainingError, match=r"(?s)at step \d+ .*last\.safetensors.*age: min"):
        quick(recipe, folder / "a", data=wild)
    kept = load_file(folder / "a" / "models" / "wide_deep" / "seed-0" / "last.safetensors")
    assert all(v.isfinite().all() for k, v in kept.items() if k.startswith("model."))


CALIBRATED = Calibration(method="platt", by="genre", negative_sampling_rate={"click": 0.5})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_predictions_are_calibrated_alike_in_training_and_afterwards(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    run = quick(recipe.model_copy(update={"calibration": CALIBRATED}), tmp_path / "a")
    folder = run.model_folder("wide_deep", 0)
    stored = pl.read_parquet(folder / "test.parquet")
    assert {"click__raw", "watch_time__raw"} <= set(stored.columns)
    right = load_calibrators(folder / "calibration.json")
    again = stored.with_columns(
        click__prediction="click__raw", watch_time__prediction="watch_time__raw"
    )
    np.testing.assert_allclose(right.apply(again)["click"], stored["click__prediction"])
    # A row scored alone, from its raw columns, gets what the stored one got.
    scored = run.predict(frame, columns=["user_id", "genre", "age"])
    assert scored.columns[3:] == ["click__prediction", "watch_time__prediction"]
    keys = ["user_id", "genre", "click", "watch_time"]
    labelled = pl.concat([frame.select(keys), scored.select("click__prediction")], how="horizontal")
    labelled = labelled.with_columns(pl.col("click", "watch_time").cast(pl.Float64))
    both = stored.join(labelled, on=keys, suffix="_again")
    gaps = both.group_by(*keys, "click__prediction").agg(
        (pl.col("click__prediction") - pl.col("click__prediction_again")).abs().min().alias("gap")
    )
    assert gaps["gap"].max() < 1e-5  # type: ignore[operator]


@pytest.mark.slow
def test_calibrated_numbers_keep_to_the_range_of_their_labels(
    recipe: Recipe, tmp_path: Path
) -> None:
    tasks = {"click": recipe.schema_.tasks["click"], "watch_time": Regression(clip=(0, 100))}
    changes = {
        "schema_": recipe.schema_.model_copy(update={"tasks": tasks}),
        "calibration": Calibration(tasks={"watch_time": "platt"}),
        "evaluation": recipe.evaluation.model_copy(update={"baselines": ()}),
    }
    run = quick(recipe.model_copy(update=changes), tmp_path / "clipped")
    folder = run.model_folder("wide_deep", 0)
    line = load_calibrators(folder / "calibration.json").maps["watch_time"].overall
    assert (line.low, line.high) == (0, 100)  # type: ignore[union-attr]
    test = pl.read_parquet(folder / "test.parquet")
    assert test["watch_time__prediction"].is_between(0, 100).all()
    logged = {"watch_time": Regression(log1p=True), "click": tasks["click"]}
    changes["schema_"] = recipe.schema_.model_copy(update={"tasks": logged})
    run = quick(recipe.model_copy(update=changes), tmp_path / "logged")
    folder = run.model_folder("wide_deep", 0)
    line = load_calibrators(folder / "calibration.json").maps["watch_time"].overall
    assert line.low == 0  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_report_shows_calibration_before_and_after(recipe: Recipe, tmp_path: Path) -> None:
    run = quick(recipe.model_copy(update={"calibration": CALIBRATED}), tmp_path / "a")
    report = task_reports(run, stored_predictions(run))[0]
    assert report.effect is not None
    before, after = report.effect.metrics["ece"]
    assert after < before  # the correction for negatives that were all kept is wrong at first
    assert report.effect.by_type is not None
    assert set(report.effect.by_type["type"]) == {"action", "comedy", "drama", "war"}
    page = run.report.read_text()
    assert "<h3>Calibration</h3>" in page
    assert "before" in page


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["uncertainty", "gradnorm", "pcgrad"])
def test_every_balance_trains_and_resumes(
    recipe: Recipe, tmp_path: Path, balance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = recipe.training.model_copy(update={"task_balance": balance})
    evaluation = recipe.evaluation.model_copy(update={"baselines": ()})
    chosen = recipe.model_copy(update={"training": training, "evaluation": evaluation})
    whole = quick(chosen, tmp_path / "whole")
    calls = {"steps": 0}

    def stop_once(objective: PointwiseObjective, model: Any, loss: Any) -> None:
        calls["steps"] += 1
        if calls["steps"] == 12:
            raise KeyboardInterrupt
        backward(objective, model, loss)

    backward = PointwiseObjective.backward
    monkeypatch.setattr(PointwiseObjective, "backward", stop_once)
    with pytest.raises(KeyboardInterrupt):
        quick(chosen, tmp_path / "parts")
    resumed = quick(chosen, tmp_path / "parts", resume=True)
    one, other = (
        load_file(r.model_folder("wide_deep", 0) / "best.safetensors") for r in (whole, resumed)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    record = history(resumed, "wide_deep", 0)[-1]
    assert set(record) >= {"weight.click", "weight.watch_time"}


@pytest.mark.slow
def test_tables_in_host_memory_train_alike(recipe: Recipe, tmp_path: Path) -> None:
    """On the CPU, where both places are one: the path is gone through, the result must agree."""
    there = recipe.training.model_copy(update={"tables": "host"})
    runs = (
        quick(recipe, tmp_path / "device"),
        quick(recipe.model_copy(update={"training": there}), tmp_path / "host"),
    )
    one, other = (load_file(r.model_folder("wide_deep", 0) / "best.safetensors") for r in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_equal_labels_outside_of_training_are_told_in_words(
    frame: pl.DataFrame, tmp_path: Path, split: str
) -> None:
    numbers = pl.Series(np.random.default_rng(0).normal(3, 1, len(frame)))
    part = pl.Series(np.arange(len(frame)) % 3).replace_strict({0: "train", 1: "valid", 2: "test"})
    rows = frame.with_columns(part=part, y=pl.when(part == split).then(0.1).otherwise(numbers))
    recipe = Recipe(
        schema=ct.Schema.model_validate(
            {"columns": {"genre": "categorical"}, "tasks": {"y": "regression", "click": "binary"}}
        ),
        data={"split": {"kind": "column", "column": "part"}},  # type: ignore[arg-type]
        model={"name": "mlp", "embedding_dim": 2, "hidden": [4]},
        training={"epochs": 1, "monitor": "all.loss", "precision": "float32"},  # type: ignore[arg-type]
        evaluation={"baselines": ()},  # type: ignore[arg-type]
    )
    run = fit(recipe, data=rows, out=tmp_path / "a", quiet=True)
    figures = run.metrics["tasks"]["y"]["mlp"]
    assert (figures["rmse_of_mean"]["mean"] == 0) == (split == "test")
    assert "on average where" in run.report.read_text()
