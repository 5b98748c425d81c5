"""Interface between recipe, rows and training: one job for rankers, one for retrievers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.prepared_folder import PreparedFolder, Shards
from crosstower.data.progress import OnProgress
from crosstower.data.sources.source import Source
from crosstower.data.statistics import DatasetStats
from crosstower.nn.world import World
from crosstower.training.protocols import Objective, Stream


class Job(Protocol):
    """A recipe that was checked, then its encoded rows with objective, validation and results."""

    def read(
        self,
        source: Source,
        *,
        spill: Path,
        encoder: Encoder | EncoderFit,
        on_progress: OnProgress,
    ) -> None:
        """Read and encode the rows.

        Args:
            source: rows to train, validate and test on.
            spill: folder for encoded rows beyond `data.memory_mb`; made only when needed.
            encoder: of the rows, or its learner from the training rows.
            on_progress: called after each chunk.

        """
        ...

    def store(self, folder: Path) -> Shards:
        """Write the encoded rows as shards, and the other files that training needs.

        Args:
            folder: exists; see `write_prepared`.

        """
        ...

    def load(self, stored: PreparedFolder) -> None:
        """Take encoded rows from files, instead of reading and encoding them.

        Args:
            stored: from `open_prepared`, of a recipe that this one fits.

        """
        ...

    @property
    def encoder(self) -> Encoder:
        """The fitted encoder."""
        ...

    @property
    def facts(self) -> DatasetStats:
        """Statistics of the data."""
        ...

    @property
    def batch_size(self) -> int:
        """Rows per training step."""
        ...

    @property
    def monitor(self) -> tuple[str, bool]:
        """The metric of early stopping, and whether higher is better."""
        ...

    def notes(self) -> list[str]:
        """Return sentences about the training rows for the report."""
        ...

    def batches(self, seed: int) -> Stream:
        """Return the training batches of `batch_size` rows."""
        ...

    def start_model(self, model: nn.Module, world: World) -> None:
        """Give a new model, whose tables are not divided yet, the vectors that it starts from."""
        ...

    def prepare_model(self, model: nn.Module) -> None:
        """Initialise a new model with data of the training rows, such as a graph."""
        ...

    def objective(self) -> Objective:
        """Return the training objective."""
        ...

    def validate(self, model: nn.Module, precision: str) -> dict[str, float]:
        """Return {"TASK.METRIC": value} of the valid rows."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Files of a finished training run: those of `conclude`, and refitted weights."""
        ...

    def with_valid(self) -> Job:
        """Return the job whose training rows are the train and valid rows together."""
        ...

    def conclude(self, model: nn.Module, folder: Path, refit: nn.Module | None = None) -> None:
        """Write test predictions, `TEST`, of the best or of the refitted weights.

        Args:
            model: with its best weights; calibration and blend are fitted on its predictions.
            folder: of the training.
            refit: trained on valid rows as well; tested instead of `model` if given.

        """
        ...

    def save(self, folder: Path) -> None:
        """Write the files that the run folder needs besides encoder and recipe."""
        ...

    def finish(self, folder: Path, on_progress: OnProgress) -> None:
        """Write the results that follow the training runs, such as those of baselines."""
        ...
