"""The training loop: one, readable from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crosstower.data.batches import Batches
from crosstower.data.prefetch import DataWaitTimer, transferred
from crosstower.errors import TrainingError
from crosstower.nn.world import ALONE, World
from crosstower.recipe.recipe import Training
from crosstower.training.checkpoint import Position, load_checkpoint, save_checkpoint
from crosstower.training.devices import Choice, autocast, choose_precision
from crosstower.training.distributed.shard import combine_gradients
from crosstower.training.early_stopping import has_reached, improved, limits_of
from crosstower.training.optimizers import (
    build_optimizers,
    clip_gradients,
    count_rows,
    set_learning_rates,
)
from crosstower.training.protocols import Objective, Observer, Stream
from crosstower.training.records import NO_SPEED, SpeedMeter
from crosstower.training.stop_signal import StopSignal
from crosstower.training.weight_average import WeightAverage
from crosstower.training.weight_files import is_stored, same_tensors

BEST, LAST = "best.safetensors", "last.safetensors"


class TrainingInterruptedError(TrainingError):
    """The user stopped the training, which can be resumed from the last checkpoint."""

    exit_code = 130


@dataclass
class Trainer:
    """The training loop: trains until the monitored metric stops improving.

    >>> import tempfile
    >>> import crosstower as ct
    >>> from crosstower.data.encoded_rows import EncodedRows
    >>> from crosstower.training.progress import Console, Watcher, training_bar
    >>> heads, folder = (ct.Head("click", "binary"),), Path(tempfile.mkdtemp())
    >>> layout = ct.Layout(codes=(), numbers=("age",), lists=(), heads=heads)
    >>> rows = EncodedRows(folder, memory_bytes=10**6)
    >>> rows.add(ct.Batch(torch.zeros(8, 0), torch.ones(8, 1), {}, torch.ones(8, 1)))
    >>> bar, losses = training_bar(Console(quiet=True)), iter([0.6, 0.5, 0.7, 0.8, 0.9])
    >>> trainer = Trainer(
    ...     model=ct.models.build(layout, {"name": "logistic_regression"}),
    ...     objective=ct.losses.PointwiseObjective(layout, ct.losses.StaticBalance([1.0])),
    ...     settings=ct.Training(epochs=5, patience=2),
    ...     batches=Batches(rows, size=4, seed=0),
    ...     validate=lambda model, precision: {"click.log_loss": next(losses)},
    ...     monitor="click.log_loss",
    ...     higher_is_better=False,
    ...     folder=folder,
    ...     observer=Watcher(bar, name="", monitor="click.log_loss", log=None),
    ...     device=torch.device("cpu"),
    ... )
    >>> position = trainer.fit()
    >>> position.epoch, position.best_value  # two epochs without an improvement
    (4, 0.5)

    Args:
        model: to train, on `device`.
        objective: loss of a batch.
        settings: the `training` section of the recipe.
        batches: training rows.
        validate: returns {"TASK.METRIC": value} on the valid rows; if None, all epochs are trained
            and the last weights count as the best.
        monitor: a key of `validate`'s result.
        higher_is_better: direction of `monitor`.
        folder: for the best and the last checkpoint.
        observer: of the progress.
        device: of the dense part.
        horizon: epochs that the learning rate schedule spans; those of `settings` if None.
        world: whose processes each compute a part of every batch.

    """

    model: nn.Module
    objective: Objective
    settings: Training
    batches: Stream
    validate: Callable[[nn.Module, str], dict[str, float]] | None
    monitor: str
    higher_is_better: bool
    folder: Path
    observer: Observer
    device: torch.device
    horizon: int | None = None
    world: World = ALONE
    average: WeightAverage | None = field(default=None, init=False)

    def fit(self, *, resume: bool = False, finish: bool = False) -> Position:
        """Train to the end and return the last position; the best weights are on disk.

        Args:
            resume: continue from the last checkpoint in `folder`, if there is one. With other
                `epochs` or another `patience` than before, finished training may continue, and
                training beyond the new limits is over.
            finish: end now; if no epoch was validated so far, the current weights are.

        Raises:
            TrainingError: the loss is not finite, or a checkpoint cannot be written.
            TrainingInterruptedError: Ctrl-C; the training can be resumed.

        """
        self.optimizers = build_optimizers(self.model, self.settings)
        if self.settings.ema_decay is not None:
            self.average = WeightAverage(self.model, self.settings.ema_decay)
        self.limits = limits_of(self.settings)
        self.steps = len(self.batches) * (self.horizon or self.settings.epochs)
        self.rows = len(self.batches.rows)
        last = self.folder / LAST
        if resume and self.world.first(lambda: is_stored(last)):
            position, state = load_checkpoint(
                last, self.model, self.optimizers, average=self.average, world=self.world
            )
            self.objective.restore(state)
        else:
            position = self._beginning()
            self._save(LAST, position)
        if (finish and not position.finished) or position.limits != self.limits:
            self._reconsider(position, finish=finish)
        with StopSignal() as stop:
            while not position.finished:
                self._epoch(position, stop)
                if self.world.any(stop.requested):  # during validation; the whole epoch is saved
                    raise TrainingInterruptedError(_stopped(position))
        return position

    def _epoch(self, position: Position, stop: StopSignal) -> None:
        if position.batch == 0:
            self.model.eval()
            self.objective.begin_epoch(self.model)
        self.model.train()
        self.observer.begin(rows=self.rows, epoch=position.epoch)
        stream = self.batches.epoch(position.epoch, start=position.batch)
        batches = DataWaitTimer(transferred(stream, self.device))
        meter = SpeedMeter(batches)
        for batch in batches:
            loss = self._step(batch, position)
            position.batch += 1
            meter.rows += batch.total
            self.observer.advance(rows=batch.total, loss=loss)
            if self._evaluates_after(position):
                self._evaluate(position, meter.speed())
                if position.finished:
                    return
                self.model.train()
                meter.restart()
            self._checkpoint_between(position, stop)
        self._evaluate(position, meter.speed(), ends_epoch=True)

    def _evaluates_after(self, position: Position) -> bool:
        """Return whether a step within an epoch, not its last one, is followed by an evaluation."""
        every = self.settings.evaluate_every
        within = position.batch < len(self.batches)
        return every is not None and within and position.step % every == 0

    def _step(self, batch: Any, position: Position) -> float:
        set_learning_rates(self.optimizers, self.settings, position.step, self.steps)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        with autocast(self.device, position.precision):
            loss = self.objective.loss(self.model, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(self._diagnose("loss", value, batch, position))
        self.objective.backward(self.model, loss)
        combine_gradients(self.model, self.world)
        limit = self.settings.clip_norm or math.inf
        norm = clip_gradients(self.optimizers, limit, world=self.world)
        if not math.isfinite(norm):
            raise TrainingError(self._diagnose("gradient norm", norm, batch, position))
        rows = self.objective.rows(batch)
        count_rows(self.optimizers, rows)
        if self.average is not None:
            self.average.follow()
        for optimizer in self.optimizers:
            optimizer.step()
        position.step += 1
        labelled = int(rows.max())
        position.loss_sum += value * labelled
        position.loss_rows += labelled
        return value

    def _evaluate(
        self, position: Position, speed: dict[str, float], *, ends_epoch: bool = False
    ) -> None:
        with self._averaged():
            record, better = self._validated(position, speed, ends_epoch=ends_epoch)
            if better:
                self._save(BEST, position)
        if better and self.average is None:
            self.world.first(lambda: same_tensors(self.folder / BEST, self.folder / LAST))
        else:
            self._save(LAST, position)
        self.observer.finish(record)

    def _averaged(self) -> AbstractContextManager[None]:
        """Return a context in which the model has the weights that are validated and kept."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _validated(
        self, position: Position, speed: dict[str, float], *, ends_epoch: bool
    ) -> tuple[dict[str, Any], bool]:
        """Validate, move the position on, and return the record and whether it is the best."""
        start = time.perf_counter()
        metrics = self.validate(self.model, position.precision) if self.validate else {}
        value = metrics.get(self.monitor)
        better = improved(value, position.best_value, higher_is_better=self.higher_is_better)
        record = {
            "epoch": position.epoch,
            "epochs": position.epoch + position.batch / len(self.batches),
            "step": position.step,
            "train_loss": position.loss_sum / max(position.loss_rows, 1),
            "valid": metrics,
            **speed,
            "validation_seconds": time.perf_counter() - start,
            "precision": position.precision,
            "precision_reason": position.reason,
            **self.objective.log_values(),
            "monitor": self.monitor,
            "better": better and value is not None,
        }
        position.history.append(record)
        position.epochs_without_gain = 0 if better else position.epochs_without_gain + 1
        if better:
            position.best_value, position.best_epoch = value, position.epoch
        position.loss_sum, position.loss_rows = 0.0, 0
        if ends_epoch:
            position.epoch, position.batch = position.epoch + 1, 0
        position.finished, position.limits = has_reached(position, self.limits), self.limits
        return record, better

    def _reconsider(self, position: Position, *, finish: bool) -> None:
        """Decide whether the training is over, and save the decision."""
        if finish and position.best_epoch is None:
            self._evaluate(position, NO_SPEED, ends_epoch=True)
        position.finished = finish or has_reached(position, self.limits)
        position.ended, position.limits = finish, self.limits
        self._save(LAST, position)

    def _checkpoint_between(self, position: Position, stop: StopSignal) -> None:
        every = self.settings.checkpoint_every
        if self.world.any(stop.requested):
            self._save(LAST, position)
            raise TrainingInterruptedError(_stopped(position))
        if every is not None and position.step % every == 0:
            self._save(LAST, position)

    def _save(self, name: str, position: Position) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(
            self.folder / name,
            self.model,
            self.optimizers,
            position,
            self.objective.state(),
            average=self.average if name == LAST else None,  # the best weights are averages
            world=self.world,
        )

    def _beginning(self) -> Position:
        choice = self._precision()
        return Position(precision=choice.precision, reason=choice.reason, limits=self.limits)

    def _precision(self) -> Choice:
        if self.settings.precision != "auto":
            return Choice(self.settings.precision, "set by training.precision")
        batch = next(iter(self.batches.epoch(0))).to(self.device)
        state = {name: tensor.clone() for name, tensor in self.objective.state().items()}
        choice = choose_precision(
            self.model, batch, self.objective.loss, self.device, world=self.world
        )
        self.objective.restore(state)
        return choice

    def _diagnose(self, what: str, value: float, batch: Any, position: Position) -> str:
        rank = next(iter(self.world.not_finite()), 0)
        columns = self.world.by(rank, lambda: "\n".join(self.objective.describe(batch)))
        where = "" if self.world.size == 1 else f" on rank {rank}"
        kept = self.folder / (BEST if is_stored(self.folder / BEST) else LAST)
        return (
            f"{what} became {value}{where} at step {position.step + 1}"
            f" (epoch {position.epoch + 1});"
            f" the previous weights are in {kept}. Lower training.learning_rate, or look for a"
            f" column out of scale in this batch of {batch.total} rows:\n{columns}"
        )


def _stopped(position: Position) -> str:
    return (
        f"stopped after step {position.step} (epoch {position.epoch + (position.batch > 0)});"
        " nothing is lost, resume with: crosstower fit --resume RUN; add --finish to end now with"
        " the best weights so far"
    )


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    batches: Batches,
    *,
    device: torch.device,
    precision: str,
    world: World = ALONE,
) -> dict[str, Tensor]:
    """Return {head: logits `[rows]`} over all batches, in the order of the rows.

    Args:
        model: on `device`.
        batches: of the rows, those of one process of `world`.
        device: computes the dense part.
        precision: of the matrix products, "float32" or "bfloat16".
        world: whose processes each compute a part of every batch.

    """
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    for batch in batches.epoch():
        with autocast(device, precision):
            logits = model(batch.to(device))
        for name, logit in logits.items():
            rows = len(range(batch.total)[world.part(batch.total)])  # without one that only fills
            whole = world.all_rows(logit[:rows].float(), batch.total)
            parts.setdefault(name, []).append(whole.cpu())
    return {name: torch.cat(chunks) for name, chunks in parts.items()}
