"""Statistics collected while rows are encoded: rows, labels, unseen values, a fingerprint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.fingerprints import FingerprintCounter, Fingerprints
from crosstower.data.implications import Implications
from crosstower.data.relevant_counts import RelevantCounts
from crosstower.data.sources.joins import JoinMatch
from crosstower.data.split import SPLITS
from crosstower.data.unseen import Unseen
from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel, former_keys
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Task
from crosstower.values.arrays import Indices
from crosstower.values.moments import NumberSummary

_REPEATED = 0.01


class DatasetStats(FrozenModel):
    """Statistics of the data of a run, stored with the run.

    `rows` counts by split; `base_rates` is {task: {split: mean label}}; `notes` are sentences
    about rows skipped, values unseen and labels missing; `fingerprint` is a hash of the encoded
    rows and their numbers, so that a resumed run notices other data; `relevant_counts` are those
    of a retriever's test queries; `joins` says how many rows found their keys; `until` is the time
    of a retriever's last row, if its rows have times.
    """

    source: str
    split: str
    rows: dict[str, int]
    base_rates: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    fingerprint: str
    relevant_counts: RelevantCounts | None = None
    joins: tuple[JoinMatch, ...] = ()
    until: datetime | None = None

    _former = former_keys({"answers": "relevant_counts"}, where="facts")


@dataclass
class DatasetCounter:
    """Counters that grow chunk by chunk; memory does not grow with rows."""

    rows: Counter[str] = field(default_factory=Counter[str])
    labels: dict[tuple[str, str], NumberSummary] = field(
        default_factory=dict[tuple[str, str], NumberSummary]
    )
    unseen: Unseen = field(default_factory=Unseen)
    skipped: Counter[str] = field(default_factory=Counter[str])
    implied: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    implications: Implications | None = None
    hashes: FingerprintCounter = field(default_factory=FingerprintCounter)

    def add(
        self,
        labels: pl.DataFrame,
        batch: Batch,
        rows: Mapping[str, Indices],
        encoder: Encoder,
        *,
        numbers: Indices,
        test: Batch | None = None,
    ) -> None:
        """Count the rows of a chunk.

        Args:
            labels: one column per task.
            batch: the same B rows, encoded.
            rows: positions of the rows of each split; others are not counted.
            encoder: that encoded them.
            numbers: `[B]`, the number of each row in the source.
            test: encoded rows of the test split; taken from `batch` if None.

        """
        tasks = encoder.schema.tasks
        if any(isinstance(task, Binary) and task.after is not None for task in tasks.values()):
            self.implications = self.implications or Implications()
            self.implications.add(tasks, labels[np.concatenate(list(rows.values()))])
        self.unseen.add(batch.take(rows["test"]) if test is None else test, encoder)
        self.hashes.add(batch, rows, numbers)
        for split, chosen in rows.items():
            self.rows[split] += len(chosen)
            part = labels[chosen]
            for task in labels.columns:
                known = part[task].drop_nulls().to_numpy()
                self.labels.setdefault((task, split), NumberSummary()).add(known)

    def merge(self, other: DatasetCounter) -> None:
        """Add the counts of other rows; the order of merging does not matter."""
        for mine, theirs in (
            (self.rows, other.rows),
            (self.skipped, other.skipped),
            (self.implied, other.implied),
        ):
            mine.update(theirs)  # type: ignore[arg-type] - keys of the same type
        for key, count in other.labels.items():
            self.labels.setdefault(key, NumberSummary()).merge(count)
        self.unseen.merge(other.unseen)
        self.hashes.merge(other.hashes)
        if other.implications is not None:
            self.implications = self.implications or Implications()
            self.implications.merge(other.implications)

    def check(self, schema: Schema, splits: Sequence[str] = SPLITS) -> None:
        """Raise DataError for a split without rows or labels, or labels that are all equal.

        Args:
            schema: of the rows.
            splits: those that need rows.

        """
        for split in splits:
            if self.rows[split] == 0:
                counts = ", ".join(f"{s} {self.rows[s]:,}" for s in SPLITS)
                raise DataError(
                    f"the {split} split holds no rows ({counts}); change data.split, or give more"
                    " rows"
                )
        if self.implications is not None:
            self.implications.check()
        for (name, split), labels in self.labels.items():
            if split in splits:
                _check_labels(name, schema.tasks[name], split, labels)

    def finish(
        self, *, source: str, split: str, joins: tuple[JoinMatch, ...] = ()
    ) -> tuple[DatasetStats, Fingerprints]:
        """Return the statistics that the run keeps, and the fingerprints of the training rows.

        Args:
            source: name of the rows.
            split: description of the split.
            joins: share of the rows that found their key in each joined table.

        """
        unseen = self.unseen.sentences("test values")
        fingerprints, fingerprint = self.hashes.finish()
        rates: dict[str, dict[str, float]] = {}
        for (task, part), labels in self.labels.items():
            if labels.count:
                rates.setdefault(task, {})[part] = labels.mean
        notes = self._missing(unseen)
        if self.implications is not None:
            notes += self.implications.notes()
        notes += _repeated(fingerprints.repeated)
        stats = DatasetStats(
            source=source,
            split=split,
            rows=dict(self.rows),
            base_rates=rates,
            notes=(*(match.sentence for match in joins), *notes),
            joins=joins,
            fingerprint=fingerprint,
        )
        return stats, fingerprints

    def _missing(self, unseen: list[str]) -> list[str]:
        """Return sentences about skipped rows, unseen values and missing labels."""
        skipped = [f"{n:,} rows left out for '{c}'" for c, n in self.skipped.items()]
        missing = [
            f"{task}: {self.rows[split] - labels.count:,} of {self.rows[split]:,} {split} rows have"
            " no label"
            for (task, split), labels in self.labels.items()
            if labels.count < self.rows[split]
        ]
        implied = [
            f"{task}: {rows:,} rows without a label count as 0, as {needs} is 0 there"
            for (task, needs), rows in self.implied.items()
            if rows
        ]
        return skipped + unseen + missing + implied


def _check_labels(name: str, task: Task, split: str, labels: NumberSummary) -> None:
    """Raise DataError if a split has no labels of a task, or labels that are all equal."""
    if labels.count == 0:
        raise DataError(
            f"task '{name}': no row of the {split} split has a label; change data.split, or"
            " remove the task"
        )
    binary = isinstance(task, Binary)
    if not binary and split == "train" and labels.low == labels.high:
        raise DataError(
            f"task '{name}': all {labels.count:,} labels of the train split are"
            f" {labels.low:g}, so there is nothing to learn; check the column"
            f" '{task.column or name}', or remove the task"
        )
    if binary and labels.low == labels.high:
        raise DataError(
            f"task '{name}': all {labels.count:,} labels of the {split} split are"
            f" {labels.low:g}; a binary task needs both classes in every split: change"
            " data.split, give more rows, or check the task's positive or threshold"
        )


def _repeated(share: float) -> list[str]:
    """Return a sentence about held-out rows with the inputs of a training row, if many are."""
    if share < _REPEATED:
        return []
    same = f"{share:.1%} of the valid and test rows have the inputs of a training row"
    return [f"{same}: they say less about new rows; drop repeats, or split by group or time"]
