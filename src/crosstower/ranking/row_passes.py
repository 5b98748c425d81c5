"""The passes over the rows of a ranker: learn an encoder, then encode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.prefetch import prefetch
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.sources.source import Source
from crosstower.data.split import SPLITS, Splitter, select
from crosstower.data.statistics import DatasetCounter
from crosstower.recipe.own_columns import ROW, label_name, raw_name, truth_name
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary

LEARNING, ENCODING = "learning vocabularies", "encoding rows"
TARGETED = ("valid", "test")


class BlockSink(Protocol):
    """Takes encoded rows, block by block."""

    def add(self, block: Batch) -> None:
        """Append rows."""
        ...


@dataclass(frozen=True)
class RowReading:
    """One way to go over the rows, used for each pass.

    `ahead` reads the next chunk in a thread while one is used.
    """

    source: Source
    columns: list[str]
    cleaner: Cleaner
    splitter: Splitter
    on_progress: OnProgress = no_progress
    ahead: bool = True

    def frames(self, stage: str, census: DatasetCounter) -> Iterator[tuple[pl.DataFrame, Any]]:
        """Yield cleaned chunks with the split of each row; count the rows left out."""
        cleaner = self.cleaner.fresh_copy(skipped=census.skipped, implied=census.implied)
        chunks, rows = self._cleaned(cleaner), 0
        for frame, assignment, read in prefetch(chunks, depth=1) if self.ahead else chunks:
            yield frame, assignment
            rows += read
            self.on_progress(stage, rows)

    def _cleaned(self, cleaner: Cleaner) -> Iterator[tuple[pl.DataFrame, Any, int]]:
        for chunk in self.source.chunks(self.columns):
            frame = cleaner.clean(chunk)
            yield frame, self.splitter.assign(frame), chunk.frame.height


def learn(reading: RowReading, fit: EncoderFit) -> None:
    """Learn an encoder from the training rows."""
    for frame, assignment in reading.frames(LEARNING, DatasetCounter()):
        fit.add(select(frame, assignment, 0))


def encode(
    reading: RowReading, encoder: Encoder, extras: Sequence[str], sinks: Mapping[str, BlockSink]
) -> tuple[dict[str, list[pl.DataFrame]], DatasetCounter]:
    """Encode all rows.

    Args:
        reading: of the rows.
        encoder: of the rows.
        extras: raw columns that evaluation needs.
        sinks: take the encoded rows, by split.

    Returns:
        The targets of valid and test rows in parts, and the counts of all rows.

    """
    targets: dict[str, list[pl.DataFrame]] = {split: [] for split in TARGETED}
    census = DatasetCounter()
    for frame, assignment in reading.frames(ENCODING, census):
        # Encoded once, then split: texts are not copied, and long columns encode faster.
        batch, target = encoder.encode(frame), targets_of(frame, encoder.schema, extras)
        labels = target.select(list(encoder.schema.tasks))
        chosen = {s: np.flatnonzero(assignment == place) for place, s in enumerate(SPLITS)}
        parts = {split: batch.take(places) for split, places in chosen.items()}
        for split, part in parts.items():
            sinks[split].add(part)
        for split, frames in targets.items():
            frames.append(target[chosen[split]])
        numbers = frame[ROW].to_numpy()
        census.add(labels, batch, chosen, encoder, numbers=numbers, test=parts["test"])
    return targets, census


def targets_of(frame: pl.DataFrame, schema: Schema, columns: Sequence[str]) -> pl.DataFrame:
    """Return labels by task name, true probabilities and raw columns of cleaned rows."""
    chosen = {c: frame[raw_name(c)] for c in columns}
    for name, task in schema.tasks.items():
        if isinstance(task, Binary) and task.true_probability:
            chosen[task.true_probability] = frame[truth_name(name)]
        chosen[name] = frame[label_name(name)]
    return pl.DataFrame(chosen)
