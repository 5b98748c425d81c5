"""Training of one model with one seed, from its first step to its test predictions."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from rich.progress import Progress
from torch import nn

from crosstower.errors import RunError, notify
from crosstower.fitting.pretrained import freeze_pretrained, start_from_vectors
from crosstower.fitting.warm_start import freeze, write_start
from crosstower.models.registry import build
from crosstower.nn.table_devices import offload_embeddings
from crosstower.nn.world import ALONE, World
from crosstower.recipe.recipe import Training
from crosstower.storage.files import write_atomic
from crosstower.training.checkpoint import Position, load_weights, read_position
from crosstower.training.distributed.checkpoints import make_ordinary
from crosstower.training.distributed.shard import building_in, shard
from crosstower.training.early_stopping import is_over, limits_of
from crosstower.training.job import Job
from crosstower.training.observers import Observers
from crosstower.training.progress import Watcher
from crosstower.training.protocols import Objective, Observer
from crosstower.training.run import (
    BLEND,
    CALIBRATION,
    INDEX,
    METRICS,
    REFIT,
    REFIT_FOLDER,
    REPORT,
    Run,
)
from crosstower.training.trainer import BEST, LAST, Trainer
from crosstower.training.weight_files import is_stored, remove_stored, same_tensors


@dataclass(frozen=True)
class OneTraining:
    """One model with one seed, trained by the processes of a world together.

    `observers` see the training in addition to the bar and the log; a refit they do not see.
    """

    run: Run
    job: Job
    device: torch.device
    name: str
    seed: int
    world: World = ALONE
    observers: Sequence[Observer] = ()

    @cached_property
    def folder(self) -> Path:
        """Folder of its files."""
        return self.run.model_folder(self.name, self.seed)

    def _is_over(self) -> bool:
        """Return whether it has ended under the recipe's limits, and was tested."""
        last = self.folder / LAST
        if not all(
            is_stored(path) for path in (last, *(self.folder / n for n in self.job.outputs))
        ):
            return False
        return is_over(read_position(last), limits_of(self.run.recipe.training))

    def reopen(self) -> str | None:
        """Remove files made from weights that will change.

        Returns:
            A sentence about an index that was removed, empty if none was; None if the training is
            over, and everything stays.

        """
        if self._is_over():
            return None
        stale = [self.folder / name for name in (*self.job.outputs, CALIBRATION, BLEND)]
        stale += [self.run.folder / METRICS, self.run.folder / REPORT]
        for path in stale:
            remove_stored(path)
        index = self.run.folder / INDEX
        if not index.is_dir():
            return ""
        shutil.rmtree(index)
        again = f"crosstower index {self.run.folder}"
        return f"{index}: removed, as its vectors are of the former weights; make it again: {again}"

    def go(self, bar: Progress, *, finish: bool) -> None:
        """Train (or continue), then evaluate the best weights on the test rows.

        Where the recipe asks for a refit, the weights tested are those of a second training run, on
        train and valid rows; `finish` leaves it out.
        """
        settings, job = self.run.recipe.training, self.job
        position, model = self.train(bar, finish=finish)
        self._note_undefined(position)
        load_weights(self.folder / BEST, model, world=self.world)
        refit = None
        if settings.refit and not finish:
            refit = self._refitted(bar, position)
        job.conclude(model, self.folder, refit)

    def train(self, bar: Progress, *, finish: bool = False) -> tuple[Position, nn.Module]:
        """Train (or continue) without the test rows; return the last position and the model.

        Args:
            bar: shows the progress.
            finish: end now, with the best weights so far.

        """
        model, settings = self._new_model(self.world, self.job), self.run.recipe.training
        position = self._trained(model, self.job, bar, settings, finish=finish)
        return position, model

    def _note_undefined(self, position: Position) -> None:
        """Warn if the monitored metric was NaN at all evaluations, so that it chose no weights."""
        value = position.best_value
        if self.world.rank == 0 and value is not None and math.isnan(value):
            words = f"{self.name}, seed {self.seed}: {self.job.monitor[0]} was undefined in all"
            kept = "so the first weights are kept; set training.monitor to another metric"
            notify([f"{words} evaluations, {kept}"])

    def _refitted(self, bar: Progress, position: Position) -> nn.Module:
        """Return a model trained on train and valid rows for as many epochs as were best."""
        epochs = (position.best_epoch or 0) + 1
        settings = self.run.recipe.training.model_copy(
            update={"epochs": epochs, "precision": position.precision}
        )
        place = self.folder / REFIT_FOLDER
        self.world.first(lambda: self._drop_stale(place, settings))
        job = self.job.with_valid()
        model = self._new_model(self.world, job, place)
        self._trained(model, job, bar, settings, place=place)
        load_weights(place / BEST, model, world=self.world)
        self.world.first(lambda: same_tensors(place / BEST, self.folder / REFIT))
        return model

    def _drop_stale(self, place: Path, settings: Training) -> None:
        """Remove a refit of fewer epochs if a schedule's rates would now differ."""
        last = place / LAST
        if settings.schedule == "constant" or not is_stored(last):
            return
        if read_position(last).limits != limits_of(settings):
            shutil.rmtree(place)

    def _new_model(self, world: World, job: Job, place: Path | None = None) -> nn.Module:
        """Return a new model; `place` is the folder of its training, that of the first if None."""
        recipe, settings = self.run.recipe, self.run.recipe.training
        last = (place or self.folder) / LAST
        torch.manual_seed(self.seed)
        with building_in(world, settings):
            section, bias = self.run.info.models[self.name], recipe.bias
            model = build(self.job.encoder.layout, section, bias)
        given = settings.pretrained
        if not world.first(lambda: is_stored(last)):  # else a checkpoint has the vectors
            main = self.name == next(iter(self.run.info.models))
            start_from_vectors(model, recipe, self.job.encoder, world, main=main)
            if self.run.info.warm_start is None:
                job.start_model(model, world)
        model = model.to(self.device)
        if settings.tables == "host":
            offload_embeddings(model, "cpu")
        shard(model, world)
        if settings.freeze is not None:
            freeze(model, settings.freeze)
        if given:
            freeze_pretrained(model, recipe)
        return model

    def _start_warm(
        self, path: Path, model: nn.Module, settings: Training, objective: Objective
    ) -> None:
        """Write the checkpoint that the training begins with: the state of the earlier run.

        Of several processes the first one does, with whole tables, as their rows change places.
        """
        if is_stored(path):
            return
        if self.world.size > 1:
            model = self._new_model(ALONE, self.job)
        earlier = Path(str(self.run.info.warm_start))
        if not (earlier / "run.json").is_file():
            raise RunError(
                f"{self.run.folder}: the training of {self.name} with seed {self.seed} starts from"
                f" {earlier}, which holds no run any more; put that run back, then continue with:"
                f" {self.run.resume}"
            )
        write_start(
            path,
            Run.open(earlier),
            name=self.name,
            model=model,
            settings=settings,
            encoder=self.job.encoder,
            seed=self.seed,
            objective=objective.state(),
        )

    def _trained(
        self,
        model: nn.Module,
        job: Job,
        bar: Progress,
        settings: Training,
        *,
        finish: bool = False,
        place: Path | None = None,
    ) -> Position:
        """Train on the rows of a job; with a `place` of its own it is a refit."""
        folder, words = place or self.folder, " refit" if place is not None else ""
        folder.mkdir(parents=True, exist_ok=True)
        monitor, higher = job.monitor
        job.prepare_model(model)
        batches, objective = job.batches(self.seed), job.objective()
        if self.run.info.warm_start is not None:
            self.world.first(lambda: self._start_warm(folder / LAST, model, settings, objective))
        log, name = folder / "metrics.jsonl", f"{self.name} seed {self.seed}{words}"
        kept = log if self.world.rank == 0 else None
        watcher = Watcher(bar, name=name, monitor=monitor, log=kept)
        trainer = Trainer(
            model=model,
            batches=batches,
            objective=objective,
            settings=settings,
            validate=None if place is not None else job.validate,
            monitor=monitor,
            higher_is_better=higher,
            folder=folder,
            observer=Observers([watcher, *(self.observers if place is None else ())]),
            device=self.device,
            horizon=self.run.recipe.training.epochs,
            world=self.world,
        )
        position = trainer.fit(resume=True, finish=finish)
        watcher.close()
        self.world.first(lambda: make_ordinary(folder / BEST, folder / LAST))
        lines = "".join(json.dumps(record) + "\n" for record in position.history)
        self.world.first(lambda: write_atomic(log, lines.encode()))
        return position
