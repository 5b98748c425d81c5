"""Training a ranker: labelled rows, pointwise losses, metrics by task."""

from __future__ import annotations

import shutil
import sys
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import polars as pl
from torch import nn

from crosstower.data.batches import Batches
from crosstower.data.counters.count_files import FOLDER as COUNTERS
from crosstower.data.counters.count_files import counts_at_end, save_counts
from crosstower.data.counters.counted_source import CountedSource, count_matches
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.grouped_batches import GroupedBatches, check_memory
from crosstower.data.prepared_folder import PreparedFolder, Shards
from crosstower.data.progress import OnProgress
from crosstower.data.sources.source import Source
from crosstower.data.split import splits_of
from crosstower.data.statistics import DatasetStats
from crosstower.errors import RecipeError
from crosstower.evaluation.metrics.tasks import (
    task_metrics,
)
from crosstower.losses.gradient_balance import GradNormBalance, PCGradBalance
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.registry import task_losses_of
from crosstower.losses.task_balance import Balance, StaticBalance, UncertaintyBalance
from crosstower.nn.table_devices import device_of
from crosstower.nn.world import ALONE, World
from crosstower.ranking.calibration.calibrators import fit_calibrators
from crosstower.ranking.data import Prepared, prepare
from crosstower.ranking.group_notes import check_groups, group_notes, uncalibrated_notes
from crosstower.ranking.importance import write_importance
from crosstower.ranking.monitor import all_loss, ranking_monitor
from crosstower.ranking.prepared_rows import load_rows, store_rows
from crosstower.ranking.scorer import PREDICTION, calibrated
from crosstower.recipe.blend import check_blend
from crosstower.recipe.calibration import check_calibration
from crosstower.recipe.recipe import ALL_LOSS, Recipe
from crosstower.recipe.tasks import Binary, Rating, Regression
from crosstower.storage.files import write_parquet
from crosstower.training.run import CALIBRATION, REFIT, TEST, VALID, Run
from crosstower.training.trainer import predict_logits

_VALIDATION_ROWS = 8192


def _ranges(recipe: Recipe) -> dict[str, tuple[float, float]]:
    """Return the limits of calibrated predictions by task."""
    ranges: dict[str, tuple[float, float]] = {}
    for name, task in recipe.schema_.tasks.items():
        if isinstance(task, Rating):
            ranges[name] = (task.low, task.high)
        elif isinstance(task, Regression) and task.clip is not None:
            ranges[name] = task.clip
        elif isinstance(task, Regression) and task.log1p:
            ranges[name] = (0.0, sys.float_info.max)  # such labels are not negative
    return ranges


def balance_of(recipe: Recipe) -> Balance:
    """Return the balance of a recipe's task losses."""
    tasks, settings = recipe.schema_.tasks.values(), recipe.training
    weights = [task.weight for task in tasks]
    match settings.task_balance:
        case "static":
            return StaticBalance(weights)
        case "uncertainty":
            return UncertaintyBalance(weights, [task.kind for task in tasks])
        case "gradnorm":
            return GradNormBalance(weights, alpha=settings.gradnorm_alpha)
        case "pcgrad":
            return PCGradBalance(weights)


class RankingJob:
    """The training job of a ranker: labelled rows in, model and results out.

    Args:
        recipe: with tasks.
        world: whose processes train together.

    Raises:
        RecipeError: a section does not fit the tasks; names the section.

    """

    prepared: Prepared
    counted: CountedSource | None = None
    stored: Path | None = None
    encoder: Encoder
    facts: DatasetStats
    batch_size: int

    def __init__(self, recipe: Recipe, world: World = ALONE) -> None:
        self.recipe, self.world = recipe, world
        self.losses = task_losses_of(recipe.schema_.tasks)
        check_groups(self.losses, recipe.training.group)
        self.monitor = ranking_monitor(recipe, self.losses)
        self.kinds = recipe.schema_.kinds()
        check_calibration(recipe.calibration, self.kinds)
        if recipe.blend is not None:
            check_blend(recipe.blend, self.kinds)
            if "test" not in splits_of(recipe.data.split):
                raise RecipeError(
                    "blend: its effect is measured on test rows, and none are given; give them"
                    " (test=, or data.test), or remove the section and score with"
                    " run.predict(rows, blend=...)"
                )
            if recipe.evaluation.group is None:
                raise RecipeError(
                    "blend: which rows form a list? Set evaluation.group to a column, such"
                    " as the user, the session or the request"
                )
        self.tested = "test" in splits_of(recipe.data.split)
        self.outputs = (VALID, *((TEST,) if self.tested else ()))
        self.outputs += (REFIT,) if recipe.training.refit else ()

    def read(
        self,
        source: Source,
        *,
        spill: Path,
        encoder: Encoder | EncoderFit,
        on_progress: OnProgress,
    ) -> None:
        """Read and encode the rows."""
        self.prepared = prepare(
            self.recipe, source, spill=spill, encoder=encoder, on_progress=on_progress
        )
        self.counted = None
        if isinstance(source, CountedSource) and self.recipe.schema_.counts():
            self.counted = source
        facts = self.prepared.facts
        counted = tuple(match.sentence for match in count_matches(source))
        self._take(self.prepared, facts.model_copy(update={"notes": (*counted, *facts.notes)}))

    def store(self, folder: Path) -> Shards:
        """Write the encoded rows, and the other files that training needs."""
        shards = store_rows(self.prepared, folder)
        self._save_counts(folder)
        return shards

    def load(self, stored: PreparedFolder) -> None:
        """Take the rows from files, instead of reading and encoding them."""
        self._take(load_rows(self.recipe, stored), stored.facts)
        self.counted, self.stored = None, stored.folder

    def _take(self, prepared: Prepared, facts: DatasetStats) -> None:
        if self.recipe.training.group is not None:
            check_memory(prepared.rows["train"])
        self.prepared, self.encoder, self.facts = prepared, prepared.encoder, facts
        tasks = self.recipe.schema_.tasks
        binary = [task for task in tasks.values() if isinstance(task, Binary)]
        if any(task.class_weight == "balanced" for task in binary):
            shares = {name: mean for name, (mean, _) in self.encoder.label_scales.items()}
            self.losses = task_losses_of(tasks, shares)
        self.batch_size = self.recipe.training.batch_size_for(facts.rows["train"])

    def batches(self, seed: int) -> Batches | GroupedBatches:
        """Return the training batches, of whole groups if the recipe names a group."""
        if self.recipe.training.group is None:
            return self._batches("train", self.batch_size, seed)
        rows, world = self.prepared.rows["train"], self.world
        return GroupedBatches(rows, self.batch_size, seed, world.rank, world.size)

    def notes(self) -> list[str]:
        """Return sentences about the groups and the losses of the training."""
        group = self.recipe.training.group
        rows = self.prepared.rows["train"]
        found = [] if group is None else group_notes(group, rows, self.losses, self.batch_size)
        return [*found, *uncalibrated_notes(self.losses, self.recipe.calibration)]

    def _batches(self, split: str, size: int, seed: int | None = None) -> Batches:
        rows, world = self.prepared.rows[split], self.world
        return Batches(rows, size, seed=seed, rank=world.rank, processes=world.size)

    def start_model(self, model: nn.Module, world: World) -> None:
        """Do nothing: a ranker starts from random vectors, or from given ones."""

    def prepare_model(self, model: nn.Module) -> None:
        """Do nothing: a ranker reads rows only in batches."""

    def objective(self) -> PointwiseObjective:
        """Return the losses of the tasks, weighed against one another."""
        balance = balance_of(self.recipe)
        return PointwiseObjective(self.encoder.layout, balance, self.losses, world=self.world)

    def validate(self, model: nn.Module, precision: str) -> dict[str, float]:
        """Return the metrics of all tasks on the valid rows."""
        frame = self._predict(model, "valid", precision)
        return self.world.first(lambda: self._metrics(frame))

    def _metrics(self, frame: pl.DataFrame) -> dict[str, float]:
        group = self.recipe.evaluation.group
        metrics: dict[str, float] = {}
        for name, task in self.recipe.schema_.tasks.items():
            y = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            p = frame[f"{name}{PREDICTION}"].to_numpy()
            groups = frame[group] if group is not None else None
            weights = None
            if task.sample_weight is not None:
                weights = frame[task.sample_weight].cast(pl.Float64).to_numpy()
            results = task_metrics(task.kind, y, p, groups, weights)
            metrics |= {f"{name}.{metric}": float(value) for metric, value in results.items()}
        if len(self.recipe.schema_.tasks) > 1 or self.monitor[0] == ALL_LOSS:
            metrics[ALL_LOSS] = all_loss(self.recipe, metrics)
        return metrics

    def with_valid(self) -> RankingJob:
        """Return the job whose training rows are the train and valid rows together."""
        joint = copy(self)
        joint.prepared = self._joint
        return joint

    @cached_property
    def _joint(self) -> Prepared:
        train, valid = self.prepared.rows["train"], self.prepared.rows["valid"]
        folder = train.folder.with_name("train-and-valid")
        rows = {**self.prepared.rows, "train": train.followed_by(valid, folder)}
        return replace(self.prepared, rows=rows)

    def conclude(self, model: nn.Module, folder: Path, refit: nn.Module | None = None) -> None:
        """Write labels and predictions of valid and test rows, calibrated on the valid ones.

        Valid rows are always predicted by `model`, as `refit` has learned their labels.
        """
        tested = model if refit is None else refit
        frames = {VALID: self._predict(model, "valid", "float32")}
        if self.tested:
            frames[TEST] = self._predict(tested, "test", "float32")
        self.world.first(lambda: self._write(frames, folder))

    def _write(self, frames: dict[str, pl.DataFrame], folder: Path) -> None:
        section = self.recipe.calibration
        if section.active:
            valid = frames[VALID]
            calibrators = fit_calibrators(section, self.kinds, _ranges(self.recipe), valid)
            calibrators.save(folder / CALIBRATION)
            frames = {name: calibrated(frame, calibrators) for name, frame in frames.items()}
        for name, frame in frames.items():
            write_parquet(frame, folder / name)

    def save(self, folder: Path) -> None:
        """Write the hashes of the training rows, and the counts at the end of the event logs."""
        self._save_counts(folder)
        self.prepared.fingerprints.save(folder)

    def _save_counts(self, folder: Path) -> None:
        if self.counted is not None:
            save_counts(counts_at_end(self.counted.history), folder / COUNTERS)
        elif self.stored is not None and (self.stored / COUNTERS).is_dir():
            shutil.copytree(self.stored / COUNTERS, folder / COUNTERS)

    def finish(self, folder: Path, on_progress: OnProgress) -> None:
        """Write the importance of the columns on the validation rows."""
        rows, targets = self.prepared.rows["valid"], self.prepared.targets["valid"]
        write_importance(Run.open(folder), rows, targets, on_progress)

    def _predict(self, model: nn.Module, split: str, precision: str) -> pl.DataFrame:
        logits = predict_logits(
            model,
            self._batches(split, _VALIDATION_ROWS),
            device=device_of(model),
            precision=precision,
            world=self.world,
        )
        kept = self.recipe.calibration.negative_sampling_rate
        arrays = {name: values.numpy() for name, values in logits.items()}
        decoded = self.encoder.decode(arrays, kept=kept)
        columns = [pl.Series(f"{name}{PREDICTION}", values) for name, values in decoded.items()]
        return self.prepared.targets[split].with_columns(columns)
