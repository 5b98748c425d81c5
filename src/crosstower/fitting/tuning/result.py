"""The result of a tuning run: its trials as a table, the best recipe, and the tested winner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.evaluation.reports.notebook import html_table
from crosstower.fitting.tuning.folder import PAGE, TRIALS, TUNED
from crosstower.fitting.tuning.space import encoded
from crosstower.fitting.tuning.study import Study, error_of, state_of
from crosstower.recipe.recipe import Recipe
from crosstower.storage.files import write_atomic
from crosstower.training.run import Run


@dataclass(frozen=True)
class TuneResult:
    """A finished tuning, from `tune`.

    Args:
        folder: of the tuning.
        recipe: with the best values; also in `tuned.yaml`.
        trials: a row per trial, with `trial`, `state`, `value`, `epochs`, `seconds`, `start`,
            `error` and a column per option (choices that are lists as JSON).
        best: number of the best trial.
        value: of the monitored metric in the best trial, on validation rows.
        monitor: name of that metric.
        importance: share of each option in the variance of the value; empty with few trials.
        run: of the best recipe, trained again and tested.

    """

    folder: Path
    recipe: Recipe
    trials: pl.DataFrame
    best: int
    value: float
    monitor: str
    importance: dict[str, float]
    run: Run

    @property
    def page(self) -> Path:
        """Where the page is."""
        return self.folder / PAGE

    @property
    def tuned(self) -> Path:
        """Where the best recipe is."""
        return self.folder / TUNED

    def __repr__(self) -> str:
        """Return one line: folder, trials, and the best value."""
        return (
            f"TuneResult('{self.folder}': {self.trials.height} trials, {self.monitor}"
            f" {self.value:.4f} in trial {self.best})"
        )

    def _repr_html_(self) -> str:
        """Return the options of the best trial and their importance as a table, for notebooks."""
        best = self.trials.row(by_predicate=pl.col("trial") == self.best, named=True)
        rows = [
            [name, _shown(best[name]), _share(self.importance.get(name))]
            for name in self.trials.columns
            if name not in _FACTS
        ]
        title = (
            f"{self.recipe.name}: {self.monitor} {self.value:.4f} in trial {self.best} of"
            f" {self.trials.height} trials, valid rows"
        )
        names = ["option", "best value", "importance"]
        return html_table(title, names, rows, links=[self.page, self.tuned, self.run.report])


_FACTS = {"trial", "state", "value", "epochs", "seconds", "start", "error"}
"""Columns of the trials that are no options."""


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _share(importance: float | None) -> str:
    return "–" if importance is None else f"{importance:.0%}"


def trials_frame(study: Study, keys: Sequence[str]) -> pl.DataFrame:
    """Return a row per trial that has begun, without those that were interrupted.

    Args:
        study: of the tuning.
        keys: options, one column each.

    """
    found = [t for t in study.trials() if state_of(t) not in ("interrupted", "waiting")]
    rows = [_row(study, trial, keys) for trial in found]
    text = {"state": pl.String, "start": pl.String, "error": pl.String}
    numbers = {"trial": pl.Int64, "value": pl.Float64, "epochs": pl.Int64, "seconds": pl.Float64}
    return pl.DataFrame(
        rows, schema_overrides=text | numbers, infer_schema_length=None, strict=False
    )


def _row(study: Study, trial: Any, keys: Sequence[str]) -> dict[str, Any]:
    values = study.values_of(trial)
    state = state_of(trial)
    steps = trial.intermediate_values
    pruned = steps[max(steps)] if state == "pruned" and steps else None
    attributes = trial.user_attrs
    return {
        "trial": trial.number,
        "state": state,
        "value": trial.value if state == "complete" else pruned,
        "epochs": attributes.get("epochs"),
        "seconds": attributes.get("seconds"),
        "start": attributes.get("start"),
        "error": error_of(trial),
    } | {key: _cell(values.get(key)) for key in keys}


def _cell(value: Any) -> Any:
    return encoded(value) if isinstance(value, list | dict) else value


def write_trials(result: TuneResult) -> None:
    """Write `trials.json`."""
    plain = {
        "monitor": result.monitor,
        "best": result.best,
        "importance": result.importance,
        "trials": result.trials.to_dicts(),
    }
    write_atomic(result.folder / TRIALS, json.dumps(plain, indent=1, default=str).encode())
