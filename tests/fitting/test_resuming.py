"""A run is stopped, gone on with in several ways, and ended."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

import crosstower as ct
from crosstower.blending.blend_run import blend_run
from crosstower.cli.main import main
from crosstower.data.reading import located
from crosstower.errors import CrosstowerWarning, RecipeError, RunError
from crosstower.recipe.blend import Blend
from crosstower.recipe.loading import load_recipe, parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.indexing import build_index
from crosstower.training.checkpoint import read_position
from crosstower.training.history import history
from crosstower.training.run import Run
from crosstower.training.trainer import TrainingInterruptedError

from ..conftest import RECIPE
from .test_fit import stop_after

SCHEMA = ct.Schema(columns={"genre": "categorical"}, tasks={"click": "binary"})  # type: ignore[arg-type]


def small(recipe: Recipe, **training: Any) -> Recipe:
    """The recipe without its baseline, to be quick."""
    update = {
        "evaluation": recipe.evaluation.model_copy(update={"baselines": ()}),
        "training": recipe.training.model_copy(update=training),
    }
    return recipe.model_copy(update=update)


def weights(run: Run, model: str = "wide_deep", seed: int = 0) -> dict[str, torch.Tensor]:
    return load_file(run.model_folder(model, seed) / "best.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def stop(monkeypatch: pytest.MonkeyPatch, steps: int, *arguments: Any, **options: Any) -> str:
    """Train until Ctrl-C after that many steps; return the message."""
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(TrainingInterruptedError) as error:
            ct.fit(*arguments, quiet=True, **options)
    return str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("as_call", ["as before", "as advised"])
def test_a_schema_and_a_frame_go_on(
    frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_call: str
) -> None:
    whole = ct.fit(SCHEMA, data=frame, out=tmp_path / "whole", quiet=True)
    words = stop(monkeypatch, 4, SCHEMA, data=frame, out=tmp_path / "cut")
    call = f"crosstower.fit({str(tmp_path / 'cut')!r}, data=ROWS, resume=True)"
    assert call in words
    assert "finish=True" in words
    assert "crosstower fit" not in words  # no file holds the rows
    if as_call == "as advised":
        run = ct.fit(str(tmp_path / "cut"), data=frame, resume=True, quiet=True)
    else:
        run = ct.fit(SCHEMA, data=frame, out=tmp_path / "cut", resume=True, quiet=True)
    assert same(weights(run, "dcn_v2"), weights(whole, "dcn_v2"))


def test_a_run_on_a_frame_says_how_to_go_on(
    frame: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stop(monkeypatch, 4, SCHEMA, data=frame, out=tmp_path / "cut")
    monkeypatch.setattr("sys.argv", ["crosstower", "fit", "--resume", str(tmp_path / "cut")])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 5
    assert "was trained on tables" in capsys.readouterr().err
    with pytest.raises(RunError, match=r"has not finished; continue with: crosstower\.fit\("):
        _ = Run.open(tmp_path / "cut").metrics


@pytest.mark.slow
@pytest.mark.parametrize("relative", [True, False])
def test_a_path_given_from_python_is_part_of_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, relative: bool
) -> None:
    """So the advised command works from any folder."""
    monkeypatch.chdir(folder)
    data = "rows.parquet" if relative else folder / "rows.parquet"
    words = stop(monkeypatch, 4, SCHEMA, data=data, out="runs/cut")
    assert "crosstower fit --resume runs/cut" in words
    path = Run.open(folder / "runs" / "cut").recipe.data.path
    assert path == str(folder / "rows.parquet")
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert ct.fit(folder / "runs" / "cut", resume=True, quiet=True).metrics


def test_a_recipe_with_a_relative_path_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    recipe = small(parse_recipe(RECIPE))
    stop(monkeypatch, 4, recipe, out="cut")
    assert ct.fit("cut", resume=True, quiet=True).metrics


@pytest.mark.parametrize("steps", [3, 12])
def test_going_on_with_more_epochs_equals_a_longer_training(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    longer = small(recipe, epochs=4, patience=9)
    whole = ct.fit(longer, out=tmp_path / "whole", quiet=True)
    stop(monkeypatch, steps, small(recipe, epochs=2, patience=9), out=tmp_path / "cut")
    run = ct.fit(longer, out=tmp_path / "cut", resume=True, quiet=True)
    assert same(weights(run), weights(whole))
    assert run.metrics["tasks"] == whole.metrics["tasks"]
    assert Run.open(run.folder).recipe.training.epochs == 4


@pytest.mark.slow
def test_a_finished_run_goes_on_with_more_epochs(
    recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ct.fit(small(recipe, epochs=4, patience=9), out=tmp_path / "whole", quiet=True)
    run = ct.fit(small(recipe, epochs=2, patience=9), out=tmp_path / "run", quiet=True)
    blend_run(run, Blend(weights={"click": 1.0, "watch_time": 2.0}, transform="percentile"))
    before = json.loads((run.folder / "blended.json").read_bytes())
    ct.fit(tmp_path / "run", overrides=["training.epochs=4"], resume=True, quiet=True)
    run = Run.open(tmp_path / "run")
    assert run.metrics["tasks"] == whole.metrics["tasks"]
    assert len(history(run, "wide_deep", 0)) == 4
    after = json.loads((run.folder / "blended.json").read_bytes())
    assert after["blend"] == before["blend"]  # made by hand, and fitted again
    assert (run.model_folder("wide_deep", 0) / "blend.json").is_file()
    del capsys


def test_fewer_epochs_end_a_run(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(monkeypatch, 20, small(recipe, epochs=9, patience=9), out=tmp_path / "cut")  # in epoch 3
    run = ct.fit(tmp_path / "cut", overrides=["training.epochs=2"], resume=True, quiet=True)
    shorter = ct.fit(small(recipe, epochs=2, patience=9), out=tmp_path / "short", quiet=True)
    assert same(weights(run), weights(shorter))
    assert run.metrics["tasks"] == shorter.metrics["tasks"]


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_run_is_ended_with_what_has_begun(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(monkeypatch, 20, recipe, out=tmp_path / "cut", seeds=2)  # seed 0, in the third epoch
    run = ct.fit(tmp_path / "cut", resume=True, finish=True, quiet=True)
    assert list(run.info.models) == ["wide_deep"]
    assert run.info.seeds == (0,)
    assert run.metrics["tasks"]["click"]["wide_deep"]["auc"]["mean"] > 0.6
    assert len(history(run, "wide_deep", 0)) == 2
    page = run.report.read_text()
    assert "stopped manually: wide_deep, seed 0, after 2 of at most 3 epochs" in page
    assert "Not trained, as the run was stopped manually: logistic_regression, seed 1" in page
    assert run.predict(pl.read_parquet(tmp_path / "rows.parquet")).height == 1200
    before = run.metrics["tasks"]
    again = ct.fit(tmp_path / "cut", resume=True, quiet=True)  # the end stays
    assert (again.metrics["tasks"], read_position(_last(again)).step) == (before, 21)


def _last(run: Run) -> Path:
    return run.model_folder("wide_deep", 0) / "last.safetensors"


@pytest.mark.slow
def test_the_command_ends_a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = stop(monkeypatch, 3, folder / "small.yaml", out=folder / "cut")  # in the first epoch
    assert f"crosstower fit --resume {folder / 'cut'}; add --finish" in words
    command = ["crosstower", "fit", "--resume", str(folder / "cut"), "--finish"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    shown = capsys.readouterr().out
    assert "after 0 of at most 3 epochs" in shown.replace("\n", " ").replace("  ", " ")
    assert "precision float32: set by training.precision" in shown
    assert Run.open(folder / "cut").metrics["training"]["wide_deep"]["0"]["epochs"] == 1


def test_what_cannot_be_ended_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"finish: .*needs resume"):
        ct.fit(recipe, out=tmp_path / "a", finish=True)
    run = ct.fit(small(recipe, epochs=1), out=tmp_path / "a", quiet=True)
    with pytest.raises(RunError, match="has 1 seeds, which stay as they are, got 3"):
        ct.fit(run.folder, resume=True, seeds=3)
    with pytest.raises(RunError, match=r"a folder, expected a recipe file.*resume"):
        ct.fit(run.folder)
    with pytest.raises(RunError, match="continue with: crosstower fit --resume"):
        ct.fit(recipe, out=run.folder)
    for path in run.folder.rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(RunError, match="nothing has been trained yet; continue with"):
        ct.fit(run.folder, resume=True, finish=True, quiet=True)


Names = st.from_regex(r"[A-Za-z0-9][\w.-]{0,8}", fullmatch=True).filter(str.isascii)


@given(
    name=Names | st.just("run"),
    epochs=st.integers(1, 40) | st.just(30),
    rate=st.floats(1e-6, 1.0) | st.just(1e-3),
    path=st.sampled_from([None, "world:feed", "/data/rows.parquet"]),
    clip=st.none() | st.floats(0.1, 100.0),
)
def test_a_recipe_is_the_same_after_it_was_kept(
    tmp_path_factory: pytest.TempPathFactory, **given_: Any
) -> None:
    plain = {
        "name": given_["name"],
        "data": {"path": given_["path"]},
        "schema": {"columns": {"a": "categorical"}, "tasks": {"y": "binary"}},
        "training": {
            "epochs": given_["epochs"],
            "learning_rate": given_["rate"],
            "clip_norm": given_["clip"],
        },
    }
    recipe, _ = located(Recipe.model_validate(plain), None)
    path = tmp_path_factory.mktemp("kept") / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_tables_in_place_of_a_file_are_asked_for_again(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(monkeypatch, 3, small(recipe), data=frame.reverse(), out=tmp_path / "cut")
    with pytest.raises(RunError, match=r"rows have changed.*give the same: crosstower\.fit\("):
        ct.fit(tmp_path / "cut", resume=True, quiet=True)
    run = ct.fit(tmp_path / "cut", data=frame.reverse(), resume=True, quiet=True)
    assert run.recipe.data.path == str(tmp_path / "rows.parquet")


def test_rows_that_come_divided_go_on(
    frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"train": frame[:800], "valid": frame[800:1000], "test": frame[1000:]}
    words = stop(monkeypatch, 3, SCHEMA, **parts, out=tmp_path / "cut")
    assert "train=ROWS, valid=ROWS, test=ROWS, resume=True" in words
    run = ct.fit(tmp_path / "cut", **parts, resume=True, finish=True, quiet=True)
    assert run.info.facts.rows == {"train": 800, "valid": 200, "test": 200}


def test_a_retriever_is_ended_and_goes_on_without_its_old_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    rows = pl.DataFrame({"u": random.integers(0, 40, 600), "i": random.integers(0, 20, 600)})
    plain = {
        "schema": {"columns": {"u": "categorical", "i": "categorical"}},
        "model": {"item": ["i"]},
        "retrieval": {"user": "u", "item": "i", "baselines": ["popularity"], "k": [5]},
        "training": {"epochs": 3},
    }
    recipe = Recipe.model_validate(plain)
    stop(monkeypatch, 2, recipe, data=rows, out=tmp_path / "r")
    run = ct.fit(tmp_path / "r", data=rows, resume=True, finish=True, quiet=True)
    assert 0 <= run.metrics["retrieval"]["two_tower"]["recall@5"]["mean"] <= 1
    build_index(ct.Retriever.open(run))
    assert (run.folder / "index").is_dir()
    ct.fit(tmp_path / "r", data=rows, overrides=["training.epochs=4"], resume=True)
    assert not (run.folder / "index").exists()
    assert "removed, as its vectors are of the former weights" in capsys.readouterr().err


def test_rows_of_a_run_of_an_earlier_version_are_taken_as_unchanged(
    recipe: Recipe, tmp_path: Path
) -> None:
    run = ct.fit(small(recipe, epochs=1), out=tmp_path / "run", quiet=True)
    facts = run.info.facts.model_copy(update={"fingerprint": "0" * 32})
    info = run.info.model_copy(update={"facts": facts})
    (run.folder / "run.json").write_text(info.model_dump_json())
    with pytest.warns(CrosstowerWarning, match="begun by an earlier version"):
        ct.fit(run.folder, resume=True, quiet=True)
