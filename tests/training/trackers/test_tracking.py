import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from crosstower.cli import fit as command
from crosstower.errors import CrosstowerWarning
from crosstower.training.run import Run
from crosstower.training.trackers import tracking
from crosstower.training.trackers.tracker import Subject
from crosstower.training.trackers.tracking import Tracking, metrics_of, parameters_of

from ...fixtures.tracked import tracked_run


class Notes:
    """A tracker that records its calls, and fails at a given one."""

    def __init__(self, subject: Subject, fails: str) -> None:
        self.subject, self.fails = subject, fails
        self.steps: list[int] = []
        self.closed = False

    def _fail(self, call: str) -> None:
        if call == self.fails:
            raise ConnectionError("store is gone")

    def last_step(self) -> int:
        return -1

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._fail("log")
        self.steps.append(step)

    def add_files(self, paths: Sequence[Path]) -> None:
        self._fail("add_files")

    def close(self) -> None:
        self.closed = True


def noting(monkeypatch: pytest.MonkeyPatch, fails: str = "") -> list[Notes]:
    opened: list[Notes] = []

    def open_one(_name: str, subject: Subject) -> Notes:
        if fails == "open":
            raise ConnectionError("store is gone")
        opened.append(Notes(subject, fails))
        return opened[-1]

    monkeypatch.setattr(tracking, "open_tracker", open_one)
    return opened


def test_trainings_come_first_and_the_whole_run_last(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = noting(monkeypatch)
    run = tracked_run(store, "training.trackers=[tensorboard]", seeds=2)
    assert [one.subject.part for one in opened] == ["mlp/seed-0", "mlp/seed-1", ""]
    assert [len(one.steps) for one in opened] == [2, 2, 1]
    assert all(one.closed for one in opened)
    assert opened[0].subject.parameters["seed"] == "0"
    with Tracking(run, active=False).training("mlp", 0) as observers:
        assert observers == []  # another process than the first
    with Tracking(run, active=True).training("mlp", 0) as observers:
        assert len(observers) == 1
    assert len(opened[-1].steps) == 2  # what a new store lacks is logged first


@pytest.mark.parametrize("fails", ["open", "log", "add_files"])
def test_a_tracker_that_fails_stops_no_training(
    store: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    noting(monkeypatch, fails)
    words = "training.trackers: tensorboard failed and is left out from here on: store is gone"
    with pytest.warns(CrosstowerWarning, match=words):
        run = tracked_run(store, "training.trackers=[tensorboard]")
    assert run.metrics["tasks"]["click"]["mlp"]["auc"]["mean"] > 0.4


def test_without_trackers_nothing_is_written(store: Path) -> None:
    run = tracked_run(store)
    assert not (run.folder / "trackers.json").exists()


def test_parameters_hold_no_address_of_the_rows(store: Path) -> None:
    run = tracked_run(store, "data.path=s3://secret/rows.parquet")
    parameters = parameters_of(run)
    assert "secret" not in str(parameters)
    assert parameters["schema.columns.user_id.kind"] == "categorical"
    assert parameters["data.split.kind"] == "random"
    assert not any(key.startswith("tune") for key in parameters)


def test_figures_that_are_not_finite_are_left_out() -> None:
    record: dict[str, Any] = {
        "epoch": 1,
        "epochs": 1.5,
        "train_loss": 0.5,
        "rows_per_second": 100.0,
        "valid": {"click.auc": math.nan, "click.log_loss": 0.6},
    }
    assert metrics_of(record) == {
        "train/loss": 0.5,
        "epoch": 1.5,
        "valid/click.log_loss": 0.6,
        "speed/rows_per_second": 100.0,
    }


def test_the_option_of_the_command_is_the_key_of_the_recipe(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def fit(recipe: Path, **named: Any) -> Run:
        given.append(named["overrides"])
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.fitting.fit.fit", fit)
    with pytest.raises(KeyboardInterrupt):
        command.fit(Path("a.yaml"), override=["name=b"], track=["mlflow", "wandb"])
    assert given == [["name=b", 'training.trackers=["mlflow", "wandb"]']]
