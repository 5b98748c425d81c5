"""MLflow's SQLite store, read back by its client."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from crosstower.training.history import history
from crosstower.training.run import Run

from ...fixtures.tracked import tracked_run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of SQLAlchemy, in MLflow's own tables
    from mlflow import MlflowClient


def runs_of(store: Path) -> dict[str, Any]:
    """Return MLflow's runs by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("crosstower")
        assert experiment is not None
        return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def steps_of(store: Path, run: Any, metric: str) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
        return [m.step for m in client.get_metric_history(run.info.run_id, metric)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_trainings_are_runs_below_that_of_the_fit(store: Path) -> None:
    run = tracked_run(store, "training.trackers=[mlflow]")
    found = runs_of(store)
    assert set(found) == {"tracked", "tracked/mlp/seed-0"}
    whole, training = found["tracked"], found["tracked/mlp/seed-0"]
    assert training.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert training.data.params["training.learning_rate"] == "0.01"
    assert training.data.params["model.hidden"] == "[8]"
    records = history(run, "mlp", 0)
    assert steps_of(store, training, "valid/click.auc") == [r["step"] for r in records]
    assert training.data.metrics["train/loss"] == records[-1]["train_loss"]
    auc = run.metrics["tasks"]["click"]["mlp"]["auc"]["mean"]
    assert whole.data.metrics["test/click.auc"] == auc
    assert {whole.info.status, training.info.status} == {"FINISHED"}
    artifacts = {path.name for path in (store / "mlruns").rglob("artifacts/*")}
    assert {"report.html", "metrics.json", "recipe.yaml"} <= artifacts
    _resume(store, run, training)


def _resume(store: Path, run: Run, training: Any) -> None:
    """A training that continues logs to the same run, each evaluation once."""
    longer = tracked_run(store, "training.trackers=[mlflow]", "training.epochs=3", resume=True)
    again = runs_of(store)["tracked/mlp/seed-0"]
    assert again.info.run_id == training.info.run_id
    steps = [r["step"] for r in history(longer, "mlp", 0)]
    assert steps_of(store, again, "train/loss") == steps
    assert len(steps) == 3
    ids = json.loads((run.folder / "trackers.json").read_bytes())["mlflow"]
    assert ids["mlp/seed-0"] == again.info.run_id
