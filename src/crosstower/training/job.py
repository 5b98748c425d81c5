"""What a training needs of a recipe and its rows: one job for rankers, one for retrievers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.progress import OnProgress
from crosstower.data.statistics import DatasetStats
from crosstower.training.protocols import Objective, Stream


class Job(Protocol):
    """Encoded rows, and what to do with them."""

    @property
    def encoder(self) -> Encoder:
        """The fitted encoder."""
        ...

    @property
    def facts(self) -> DatasetStats:
        """What is known of the data."""
        ...

    @property
    def train_rows(self) -> int:
        """Number of training rows."""
        ...

    @property
    def monitor(self) -> tuple[str, bool]:
        """The metric to watch, and whether higher is better."""
        ...

    def batches(self, size: int, seed: int) -> Stream:
        """Return the training batches."""
        ...

    def objective(self, batch_size: int) -> Objective:
        """Return what is learnt."""
        ...

    def validate(self, model: nn.Module, precision: str) -> dict[str, float]:
        """Return {"TASK.METRIC": value} of the valid rows."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files of a training that has ended, those of `conclude` and refitted weights."""
        ...

    def with_valid(self) -> Job:
        """Return the job whose training rows are the train and valid rows together."""
        ...

    def conclude(self, model: nn.Module, folder: Path, refit: nn.Module | None = None) -> None:
        """Write test predictions, `TEST`, of the best weights or of those trained again.

        Args:
            model: with its best weights; what is fitted on valid rows is fitted on its answers.
            folder: of the training.
            refit: trained on valid rows as well; the one to be tested, if there is one.

        """
        ...

    def save(self, folder: Path) -> None:
        """Write what the run folder needs besides encoder and recipe."""
        ...

    def finish(self, folder: Path, on_progress: OnProgress) -> None:
        """Write what comes after the trainings, such as baselines; `on_progress` shows progress."""
        ...
