"""Tuning from a recipe to a tested winner: what it writes, continues, refuses and survives."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import crosstower as ct
from crosstower.errors import CrosstowerWarning, RecipeError, RunError, TrainingError
from crosstower.fitting.fit import fit
from crosstower.fitting.tuning import space, trial_run
from crosstower.fitting.tuning import tune as module
from crosstower.fitting.tuning.result import TuneResult
from crosstower.fitting.tuning.study import Study
from crosstower.fitting.tuning.tune import space_of, tune
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.trainer import TrainingInterruptedError

from ...conftest import rows
from ...fixtures.tuned import tuned_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tuned_folder(tmp_path))
    return tmp_path


def test_the_winner_is_better_by_validation_and_is_tested_once(tuned: TuneResult) -> None:
    complete = tuned.trials.filter(pl.col("state") == "complete")
    own = complete.filter(pl.col("start") == "recipe")["value"][0]
    assert tuned.value == complete["value"].min()  # of log loss
    assert tuned.value < own - 0.01  # a learning rate of 0.0001 learns next to nothing
    assert tuned.trials.height == 9
    assert tuned.monitor == "click.log_loss"
    assert tuned.run.metrics["tasks"]["click"]["mlp"]["auc"]["mean"] > 0.6
    assert len(tuned.run.info.seeds) == 2
    assert "9 trials" in repr(tuned)


def test_no_trial_keeps_weights_or_looks_at_test_rows(tuned: TuneResult) -> None:
    trials = sorted((tuned.folder / "trials").iterdir(), key=lambda path: int(path.name))
    assert len(trials) == 9
    for trial in trials:
        assert {path.name for path in trial.iterdir()} == {"recipe.yaml", "metrics.jsonl"}
    written = [p for p in tuned.folder.rglob("test.parquet") if "winner" not in str(p)]
    assert written == []


def test_the_tuned_recipe_is_complete(tuned: TuneResult, tmp_path: Path) -> None:
    recipe = load_recipe(tuned.tuned)
    best = tuned.trials.filter(pl.col("trial") == tuned.best).row(0, named=True)
    assert recipe.training.learning_rate == best["training.learning_rate"]
    assert json.dumps(list(recipe.model["hidden"])) == best["model.hidden"]
    assert recipe.tune is None
    run = fit(tuned.tuned, seeds=2, out=tmp_path / "again", quiet=True)
    assert run.metrics["tasks"] == tuned.run.metrics["tasks"]


def test_trials_are_written_for_machines(tuned: TuneResult) -> None:
    plain = json.loads((tuned.folder / "trials.json").read_bytes())
    assert plain["best"] == tuned.best
    assert len(plain["trials"]) == 9


def test_the_same_call_goes_on_with_more_trials_and_keeps_the_others(here: Path) -> None:
    first = tune("small.yaml", trials=3, quiet=True)
    assert first.folder == Path("runs/small-tune")
    with pytest.warns(CrosstowerWarning) as warned:
        second = tune("small.yaml", trials=6, seeds=2, quiet=True)
    assert second.trials.head(3).equals(first.trials)
    assert second.trials.height == 6
    words = "is kept, with seeds: 1" if second.best == first.best else "was tested before"
    assert words in str(warned[0].message)
    assert tune("small.yaml", trials=6, quiet=True).value == second.value


def test_another_recipe_in_the_same_folder_is_refused(here: Path) -> None:
    tune("small.yaml", trials=1, quiet=True)
    with pytest.raises(RunError, match=r"tuning of another recipe \(training.epochs: 4, now 2\)"):
        tune("small.yaml", overrides=["training.epochs=2"], trials=1, quiet=True)
    with pytest.raises(RunError, match=r"tune.space.training.learning_rate.low: 0.0001, now None"):
        tune("small.yaml", overrides=["tune.space={model.dropout: [0.1]}"], quiet=True)
    (here / "other").mkdir()
    with pytest.raises(RunError, match="holds no tuning"):
        tune("small.yaml", out=here / "other", quiet=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"overrides": ["tune.space={model.dropout: [0, 2]}"]}, "model.dropout: 2 is rejected"),
        ({"jobs": 0}, "jobs: expected"),
        ({"seeds": 0}, "seeds: expected"),
        ({"trials": 0}, "trials: expected"),
        ({"out": "s3://bucket/tune"}, "is an address"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    here: Path, given: dict[str, object], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        tune("small.yaml", quiet=True, **given)  # type: ignore[arg-type]
    assert not (here / "runs").exists()


def test_several_processes_that_share_a_training_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match=r"run trials side by side with jobs \(--jobs\)"):
        tune("small.yaml", quiet=True)


def test_a_diverging_trial_is_recorded_and_the_study_goes_on(here: Path) -> None:
    options = ["tune.space={training.learning_rate: [0.01, 1.0e+30]}", "training.clip_norm=null"]
    result = tune("small.yaml", overrides=options, trials=6, quiet=True)
    failed = result.trials.filter(pl.col("state") == "failed")
    assert failed.height >= 1
    assert failed["training.learning_rate"].unique().to_list() == ["1e+30"] or all(
        float(value) == 1e30 for value in failed["training.learning_rate"]
    )
    assert all("became" in error for error in failed["error"])
    assert "became" in result.page.read_text()


def test_if_all_trials_fail_the_first_error_is_shown(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(*_given: object, **_named: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(trial_run.OneTraining, "train", starved)
    with pytest.raises(TrainingError, match="all 2 trials have failed; trial 0: out of memory"):
        tune("small.yaml", trials=2, quiet=True)


def test_options_of_the_encoding_are_tuned_by_reading_the_rows_again(here: Path) -> None:
    space = "tune.space={schema.columns.user_id.min_count: [1, 2, 50]}"
    given = rows(600)
    result = tune("small.yaml", data=given, overrides=[space], trials=4, quiet=True)
    assert not (result.folder / "rows").exists()
    assert result.trials["schema.columns.user_id.min_count"].n_unique() > 1
    with pytest.raises(RecipeError, match="jobs: 2 processes cannot read rows given as a table"):
        tune("small.yaml", data=given, overrides=[space], jobs=2, quiet=True)


def test_rows_given_as_tables_are_read_once(here: Path) -> None:
    frame = rows(600)
    parts = {"train": frame.head(400), "valid": frame[400:500], "test": frame.tail(100)}
    result = ct.tune("small.yaml", trials=2, jobs=2, quiet=True, **parts)
    assert result.run.info.facts.rows == {"train": 400, "valid": 100, "test": 100}


def test_a_retriever_is_tuned_too(here: Path) -> None:
    recipe = ct.parse_recipe(
        "name: shop\nschema: {columns: {user_id: categorical, genre: categorical}}\n"
        "model: {item: [genre], dim: 8}\n"
        "retrieval: {item: genre, user: user_id, k: [2], exclude_seen: false}\n"
        "training: {epochs: 2, precision: float32}\n"
        "tune: {space: {model.temperature: {low: 0.05, high: 1.0, log: true}}}"
    )
    result = tune(recipe, data=rows(600), trials=2, quiet=True)
    assert result.monitor == "retrieval.ndcg@2"
    assert "retrieval" in result.run.metrics


def test_a_recipe_without_a_section_has_a_default_space(here: Path) -> None:
    recipe = load_recipe("small.yaml")
    assert list(space_of(recipe)) == list(recipe.tune.space)  # type: ignore[union-attr]
    plain = recipe.model_copy(update={"tune": None})
    assert "training.weight_decay" in space_of(plain)


def test_an_empty_space_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load_recipe("small.yaml").model_copy(update={"tune": None})
    monkeypatch.setattr(module, "default_space", lambda recipe: {})
    with pytest.raises(RecipeError, match="nothing to search"):
        tune(plain, quiet=True)


def test_the_values_of_a_default_space_are_tried_once(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, tried = load_recipe("small.yaml").model_copy(update={"tune": None}), list[Recipe]()
    monkeypatch.setattr(space, "check_recipe", tried.append)
    space_of(plain)
    once = len(tried)
    with pytest.raises(RecipeError, match="trials: expected at least 1"):
        tune(plain, trials=0, quiet=True)
    assert len(tried) == 2 * once > 0


def command(*more: str) -> list[str]:
    return [sys.executable, "-m", "crosstower", "tune", "small.yaml", *more]


def wait_for(condition: object, process: subprocess.Popen[str]) -> None:
    """Wait until a condition holds; the process must not end before."""
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


SLOW = ("-o", "training.epochs=400", "-o", "training.patience=400", "-o", "tune.prune_after=null")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_running_tuning_is_refused_and_a_killed_one_goes_on_with_the_trial_that_ran(
    here: Path, end: signal.Signals
) -> None:
    overrides = [SLOW[1], SLOW[3], SLOW[5]]
    process = subprocess.Popen(
        command("--trials", "2", *SLOW), stderr=subprocess.PIPE, text=True, cwd=here
    )
    log = here / "runs/small-tune/trials/0/models/mlp/seed-0/metrics.jsonl"
    wait_for(log.is_file, process)
    with pytest.raises(RunError, match="another command is running this tuning"):
        tune("small.yaml", overrides=overrides, quiet=True)
    assert process.poll() is None
    process.send_signal(end)
    _, shown = process.communicate()
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command to continue" in shown

    class FirstEpochOnly(trial_run.TrialWatcher):
        def finish(self, record: dict[str, object]) -> None:
            super().finish(record)  # type: ignore[arg-type]
            raise trial_run.BeatenError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_run, "TrialWatcher", FirstEpochOnly)
        with pytest.raises(TrainingError, match="no trial ran to its end"):
            tune("small.yaml", trials=2, overrides=overrides, quiet=True)
    recipe = load_recipe("small.yaml", overrides)
    study = Study(here / "runs/small-tune", recipe.tune, space_of(recipe), higher=False)  # type: ignore[arg-type]
    first, *_ = study.trials()
    again = [t for t in study.trials() if t.params == first.params]
    assert len(again) == 2
    assert again[1].user_attrs["start"] == "recipe"


def test_two_processes_share_a_study_and_a_killed_one_is_replaced(here: Path) -> None:
    process = subprocess.Popen(
        command("--trials", "4", "--jobs", "2"), stdout=subprocess.PIPE, text=True, cwd=here
    )
    pids: set[int] = set()

    def two_run() -> bool:
        path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        pids.update(int(pid) for pid in path.read_text().split())
        return any((here / "runs/small-tune/trials").glob("*")) and len(pids) >= 2

    wait_for(two_run, process)
    os.kill(max(pids), signal.SIGKILL)
    out, _ = process.communicate()
    assert process.returncode == 0
    plain = json.loads((here / "runs/small-tune/trials.json").read_bytes())
    assert len(plain["trials"]) == 4
    assert {t["state"] for t in plain["trials"]} <= {"complete", "failed", "pruned"}
    assert len(re.findall(r"^trial \d+: ", out, re.MULTILINE)) >= 3


def test_ctrl_c_of_processes_stops_them_all(here: Path) -> None:
    process = subprocess.Popen(
        command("--trials", "4", "--jobs", "2", *SLOW), stderr=subprocess.PIPE, text=True, cwd=here
    )
    folder = here / "runs/small-tune/trials"
    wait_for(lambda: len(list(folder.glob("*/models/mlp/seed-0/metrics.jsonl"))) == 2, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate()
    assert process.returncode == 130
    assert "run the same command to continue" in shown
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_ctrl_c_in_python_says_how_to_go_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial_run.OneTraining, "train", stopped)
    with pytest.raises(TrainingInterruptedError, match="run the same command to continue"):
        tune("small.yaml", trials=2, quiet=True)


def test_the_example_of_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = inspect.cleandoc(tune.__doc__ or "").partition("Example::")[2].partition("Args:")[0]
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(textwrap.dedent(text), found)
    assert found["result"].trials.height == 2
    assert found["run"].tested
