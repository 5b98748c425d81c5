"""A training again on train and valid rows, for the number of epochs that was best."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from crosstower.errors import CrosstowerWarning
from crosstower.fitting.fit import fit
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.run_files import FOLDER, load_lists
from crosstower.serving.bundle import make_bundle
from crosstower.serving.bundle.bundle import Bundle
from crosstower.training import weight_files
from crosstower.training.history import refit_epochs
from crosstower.training.progress import Watcher
from crosstower.training.run import REFIT, Run
from crosstower.training.trainer import BEST, TrainingInterruptedError
from crosstower.training.weight_files import files_of, read_tensors

from ..conftest import rows
from ..fixtures.films import recipe as retrieval_recipe
from ..fixtures.films import watches

TEXT = """
name: again
schema:
  columns:
    user_id: {kind: categorical, vocabulary: [VALUES]}
    genre: {kind: categorical, vocabulary: [action, comedy, drama, war]}
  tasks: {click: binary}
model: {name: mlp, embedding_dim: 4, hidden: [8], dropout: 0.1}
training: {epochs: 6, patience: 2, batch_size: 64, precision: float32, learning_rate: 0.02,
           schedule: cosine, warmup_steps: 5}
calibration: {method: platt}
evaluation: {baselines: []}
""".replace("VALUES", ", ".join(map(str, range(30))))


def parts() -> dict[str, pl.DataFrame]:
    frame = rows(900)
    cuts = {"train": (0, 500), "valid": (500, 200), "test": (700, 200)}
    return {name: frame.slice(*cut) for name, cut in cuts.items()}


def trained(folder: Path, *overrides: str, data: Any = None, **more: Any) -> Run:
    given: Recipe = parse_recipe(TEXT, list(overrides))
    return fit(given, data=data or parts(), out=folder, quiet=True, **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("refit") / "run", "training.refit=true")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_file(path).items() if k.startswith("model.")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_refit_equals_a_training_on_both_kinds_of_rows(run: Run, tmp_path: Path) -> None:
    epochs = refit_epochs(run, "mlp", 0)
    frames = parts()
    (tmp_path / "rows").mkdir()
    for name in ("train", "valid"):
        frames[name].write_parquet(tmp_path / "rows" / f"{name}.parquet")
    both = {**frames, "train": str(tmp_path / "rows")}
    # Stopped by hand after as many epochs, so that the schedule has the same length.
    real, ended = Watcher.finish, 0

    def finish(self: Watcher, record: dict[str, Any]) -> None:
        nonlocal ended
        real(self, record)
        ended += 1
        if ended == epochs:
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watcher, "finish", finish)
        with pytest.raises(TrainingInterruptedError):
            trained(tmp_path / "both", "training.patience=9", data=both)
    expected = tmp_path / "both" / "models" / "mlp" / "seed-0" / "last.safetensors"
    assert same(weights(run.model_folder("mlp", 0) / REFIT), weights(expected))


def test_the_first_training_is_that_without_a_refit(run: Run, tmp_path: Path) -> None:
    once = trained(tmp_path / "once")
    for name in ("best.safetensors", "last.safetensors"):
        one, other = (weights(r.model_folder("mlp", 0) / name) for r in (run, once))
        assert same(one, other)
    for name in ("valid.parquet", "calibration.json"):
        one, other = (r.model_folder("mlp", 0) / name for r in (run, once))
        assert one.read_bytes() == other.read_bytes()
    assert run.metrics["tasks"] != once.metrics["tasks"]
    assert once.metrics["training"]["mlp"]["0"]["refit_epochs"] is None


def test_the_refitted_weights_are_tested_and_served(run: Run) -> None:
    stored = pl.read_parquet(run.model_folder("mlp", 0) / "test.parquet")
    found = run.predict(parts()["test"])["click__prediction"]
    np.testing.assert_allclose(found, stored["click__prediction"], rtol=1e-6)


def test_a_bundle_has_the_refitted_weights(run: Run, tmp_path: Path) -> None:
    make_bundle([run], tmp_path / "bundle")
    (path,) = (tmp_path / "bundle").rglob("best.safetensors")
    expected = weights(run.model_folder("mlp", 0) / REFIT)
    assert same(weights(path), expected)


def test_a_refit_is_reported_with_its_epochs(run: Run) -> None:
    figures = run.metrics["training"]["mlp"]["0"]
    history = (run.model_folder("mlp", 0) / "metrics.jsonl").read_text().splitlines()
    assert 1 <= figures["refit_epochs"] <= len(history) == figures["epochs"]
    words = "trained again on 700 train and valid rows, for the best number of epochs"
    assert words in run.report.read_text()


def test_an_interrupted_refit_goes_on_as_if_nothing_had_been(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, steps = Watcher.advance, 0

    def stop(self: Watcher, *, rows: int, loss: float) -> None:
        nonlocal steps
        steps += "refit" in self._name
        if steps == 3:
            signal.raise_signal(signal.SIGINT)
        real(self, rows=rows, loss=loss)

    monkeypatch.setattr(Watcher, "advance", stop)
    with pytest.raises(TrainingInterruptedError, match="stopped after step"):
        trained(tmp_path / "cut", "training.refit=true")
    monkeypatch.setattr(Watcher, "advance", real)
    cut = Run.open(tmp_path / "cut")
    assert not cut.refitted("mlp", 0)
    resumed = trained(tmp_path / "cut", "training.refit=true", resume=True)
    assert resumed.metrics["tasks"] == run.metrics["tasks"]
    assert same(*(weights(r.model_folder("mlp", 0) / REFIT) for r in (run, resumed)))


@pytest.mark.slow
def test_weights_in_several_files_are_as_good_as_those_in_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "FILE_BYTES", 400)
    parted = trained(tmp_path / "parts", "training.refit=true")
    refit = parted.model_folder("mlp", 0) / REFIT
    assert not refit.is_file()
    assert len(files_of(refit)) > 1
    assert same(read_tensors(refit, prefix="model."), weights(run.model_folder("mlp", 0) / REFIT))
    make_bundle([parted], tmp_path / "bundle")
    served = Bundle.open(tmp_path / "bundle").ranking
    assert served is not None
    assert len(files_of(served.model_folder("mlp", 0) / BEST)) > 1
    one, other, third = (r.predict(parts()["test"]) for r in (run, parted, served))
    assert one.equals(other)
    assert one.equals(third)
    later, started = (
        trained(tmp_path / f"after-{start.folder.name}", "training.epochs=1", warm_start=start)
        for start in (run, parted)
    )
    assert later.metrics["tasks"] == started.metrics["tasks"]


def test_a_run_that_is_ended_by_hand_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, steps = Watcher.advance, 0

    def stop(self: Watcher, *, rows: int, loss: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 12:
            signal.raise_signal(signal.SIGINT)
        real(self, rows=rows, loss=loss)

    monkeypatch.setattr(Watcher, "advance", stop)
    with pytest.raises(TrainingInterruptedError):
        trained(tmp_path / "run", "training.refit=true")
    ended = trained(tmp_path / "run", "training.refit=true", resume=True, finish=True)
    assert not ended.refitted("mlp", 0)
    assert "not refitted on train and valid rows" in ended.report.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_more_epochs_make_the_refit_longer(tmp_path: Path, schedule: str) -> None:
    settings = ("training.refit=true", f"training.schedule={schedule}", "training.patience=6")
    short = trained(tmp_path / "run", *settings, "training.epochs=1")
    assert refit_epochs(short, "mlp", 0) == 1
    longer = trained(tmp_path / "run", *settings, "training.epochs=3", resume=True)
    assert refit_epochs(longer, "mlp", 0) == 3
    if schedule == "constant":  # with others the first epoch had other rates
        whole = trained(tmp_path / "whole", *settings, "training.epochs=3")
        assert longer.metrics["tasks"] == whole.metrics["tasks"]


def test_a_monitored_metric_that_is_never_defined_is_reported(tmp_path: Path) -> None:
    data = {name: part.with_row_index("request") for name, part in parts().items()}
    given = ("training.monitor=click.gauc", "evaluation.group=request", "training.epochs=2")
    with pytest.warns(CrosstowerWarning, match=r"mlp, seed 0: click\.gauc was undefined"):
        trained(tmp_path / "run", *given, data=data)


def test_a_retriever_and_its_baselines_learn_from_valid_rows(tmp_path: Path) -> None:
    one = retrieval_recipe(
        tmp_path,
        retrieval={"baselines": ["popularity", "item_knn"]},
        training={"epochs": 2, "refit": True},
    )
    run = fit(one, out=tmp_path / "run", quiet=True)
    assert run.refitted("two_tower", 0)
    known = watches().with_row_index("row").sort("user", "time")
    last = known.group_by("user", maintain_order=True).last()
    before = known.join(last, on="row", how="anti").unique(["user", "film"])
    counts = dict(before["film"].value_counts().iter_rows())  # of users
    ids = pl.read_parquet(run.folder / FOLDER / "items.parquet")["film"]
    shown = load_lists(run.folder / FOLDER / "baselines" / "popularity.parquet")
    best = sorted(counts.values(), reverse=True)[: shown.shape[1]]
    assert [counts[ids[int(place)]] for place in shown[0]] == best
    assert "trained again on 3,880 train and valid rows" in run.report.read_text()
