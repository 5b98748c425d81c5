"""One trial of a tuning run: training on train and valid rows, without any test row."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from crosstower.data.counters.counted_source import counted_training_source
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.progress import no_progress
from crosstower.errors import CrosstowerError, DataError, first_line
from crosstower.fitting.new_run import create_run
from crosstower.fitting.one_training import OneTraining
from crosstower.fitting.prepared import prepared_for
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.fitting.tuning.space import applied
from crosstower.fitting.tuning.study import Study, Trial
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.tower_columns import frozen_columns
from crosstower.training.checkpoint import Position
from crosstower.training.devices import pick_device
from crosstower.training.history import records_in
from crosstower.training.progress import training_bar
from crosstower.training.trainer import TrainingInterruptedError

_LOG = "metrics.jsonl"
_KEPT = ("recipe.yaml", _LOG)


class BeatenError(Exception):
    """The trial is below the median of the earlier ones; it ends without an error."""


class TrialWatcher:
    """Observes the training of a trial: reports each evaluation, and ends it if it is beaten.

    Args:
        trial: to report to.
        monitor: the metric that trials are compared by.
        parent: id of the process that started this one; the trial ends if it has exited. None if
            there is none.

    """

    def __init__(self, trial: Trial, monitor: str, parent: int | None = None) -> None:
        self._trial, self._monitor, self._parent = trial, monitor, parent
        self._evaluations = 0

    def begin(self, *, rows: int, epoch: int) -> None:
        """Do nothing."""

    def advance(self, *, rows: int, loss: float) -> None:  # noqa: ARG002 - as every observer
        """End the training if the parent process has exited."""
        if self._parent is not None and os.getppid() != self._parent:
            raise TrainingInterruptedError("the process that started the trials has ended")

    def finish(self, record: dict[str, Any]) -> None:
        """Report an evaluation.

        Raises:
            BeatenError: the trial is below the median of the earlier ones.

        """
        self._evaluations += 1
        value = record["valid"].get(self._monitor, math.nan)
        if self._trial.is_beaten(value, self._evaluations):
            raise BeatenError


@dataclass(frozen=True)
class TrialRows:
    """Rows that trials train on: prepared ones, or those that each trial reads itself.

    `prepared` is their folder, None if trials encode them differently; then `data` holds given
    tables, None if the recipe names the rows.
    """

    prepared: Path | None
    data: Any = None


@dataclass(frozen=True)
class TrialRunner:
    """Trains the trials of a study, one after the other, in this process.

    Args:
        recipe: all paths absolute.
        folder: of the tuning.
        study: of the folder.
        rows: to train on.
        console: shows the progress of a trial.
        parent: as of `TrialWatcher`.

    """

    recipe: Recipe
    folder: Path
    study: Study
    rows: TrialRows
    console: Console
    parent: int | None = None

    def run(self, limit: int, tell: Callable[[str], None]) -> None:
        """Run trials until there are `limit`.

        Args:
            limit: of all processes together.
            tell: called with a line about each trial.

        """
        while (trial := self.study.ask(limit, os.getpid())) is not None:
            tell(f"trial {trial.number}: {self.run_one(trial)}")

    def run_one(self, trial: Trial) -> str:
        """Train the recipe with the values of a trial and record its end; return a summary.

        A failed training run is recorded and ends only this trial: a model that cannot be built, a
        loss that is not finite, or too little memory.

        Raises:
            DataError: the rows are wrong, which no other trial changes.
            TrainingInterruptedError: Ctrl-C; the trial is run again when tuning continues.

        """
        place = self.folder / "trials" / str(trial.number)
        shutil.rmtree(place, ignore_errors=True)
        try:
            position = self._trained(trial, place)
        except (TrainingInterruptedError, DataError):
            raise
        except BeatenError:
            self.study.tell(trial, None)
            return "pruned"
        except Exception as error:
            return self._failed(trial, words_of(error))
        finally:
            _clear(place)
        value = position.best_value
        if value is None or not math.isfinite(value):
            return self._failed(trial, f"the monitored metric was {value} at all evaluations")
        self.study.tell(trial, value)
        return f"{value:.5g}, {position.epoch} epoch{'s' if position.epoch > 1 else ''}"

    def _failed(self, trial: Trial, error: str) -> str:
        self.study.tell(trial, None, error=error)
        return f"failed: {error}"

    def _trained(self, trial: Trial, place: Path) -> Position:
        tried = applied(self.recipe, trial.values)
        job, models, notes = check_recipe(tried)
        main, seed = str(tried.model["name"]), tried.training.seed
        spill = place.with_name(f".{place.name}.rows")
        try:
            learned = _read(job, tried, self.rows, spill)
            run = create_run(
                place,
                tried,
                {main: models[main]},
                job,
                seeds=(seed,),
                tables=self.rows.data is not None,
                notes=notes,
                learned=learned,
            )
            watcher = TrialWatcher(trial, job.monitor[0], self.parent)
            device = pick_device(tried.training.device)
            training = OneTraining(run, job, device, main, seed, observers=[watcher])
            with training_bar(self.console) as bar:
                position, _ = training.train(bar)
        finally:
            shutil.rmtree(spill, ignore_errors=True)
            _note(place, trial, main, seed)
        return position


def words_of(error: Exception) -> str:
    """Return an error as one sentence, with its class if it was not raised on purpose."""
    words = first_line(error) if str(error) else "no message"
    if isinstance(error, CrosstowerError):
        return words
    if isinstance(error, MemoryError) or "out of memory" in words.lower():
        return f"out of memory: {words}"
    return f"{type(error).__name__}: {words}"


def _read(job: Any, recipe: Recipe, rows: TrialRows, spill: Path) -> Any:
    """Give the job its rows; return the encoder state that a warm start continues."""
    if rows.prepared is not None:
        stored = prepared_for(rows.prepared, recipe)
        job.load(stored)
        return stored.learned
    fitted = EncoderFit(recipe.schema_, None, frozen_columns(recipe))
    source = counted_training_source(recipe, rows.data)
    job.read(source, spill=spill, encoder=fitted, on_progress=no_progress)
    return fitted.learned()


def _note(place: Path, trial: Trial, model: str, seed: int) -> None:
    """Record epochs and seconds of a training run, even if it failed."""
    folder = place / "models" / model / f"seed-{seed}"
    if not (folder / _LOG).is_file():
        return
    records = records_in(folder)
    seconds = sum(r["seconds"] + r["validation_seconds"] for r in records)
    trial.note(epochs=len({r["epoch"] for r in records}), seconds=round(seconds, 3))
    shutil.copyfile(folder / _LOG, place / _LOG)


def _clear(place: Path) -> None:
    """Leave recipe and metrics of a trial; its weights would fill the disk."""
    for path in place.iterdir() if place.is_dir() else ():
        if path.name not in _KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
