"""What is counted while rows are encoded: rows, labels, unseen values, a fingerprint."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from crosstower.batch import Batch
from crosstower.data.answer_counts import AnswerCounts
from crosstower.data.encode import Encoder
from crosstower.data.implications import Implications
from crosstower.data.split import SPLITS
from crosstower.data.tables import Vocabulary
from crosstower.errors import DataError
from crosstower.frozen import Frozen
from crosstower.layout import PADDING, UNSEEN
from crosstower.schema import Schema
from crosstower.tasks import Binary


class Facts(Frozen):
    """What is known of the data of a run, as it is kept with the run.

    `rows` counts by split; `base_rates` is {task: {split: mean label}}; `notes` are sentences
    about rows skipped, values unseen and labels missing; `fingerprint` is a hash of the encoded
    rows, so that a resumed run notices other data; `answers` are those of a retriever's test.
    """

    source: str
    split: str
    rows: dict[str, int]
    base_rates: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    fingerprint: str
    answers: AnswerCounts | None = None


@dataclass
class _LabelCount:
    rows: int = 0
    total: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    def add(self, labels: pl.Series) -> None:
        known = labels.drop_nulls()
        if len(known):
            self.rows += len(known)
            self.total += float(known.sum())
            self.low = min(self.low, float(known.min()))  # type: ignore[arg-type]
            self.high = max(self.high, float(known.max()))  # type: ignore[arg-type]


@dataclass
class Census:
    """Counters that grow chunk by chunk; memory does not grow with rows."""

    rows: Counter[str] = field(default_factory=Counter[str])
    labels: dict[tuple[str, str], _LabelCount] = field(
        default_factory=dict[tuple[str, str], _LabelCount]
    )
    unseen: Counter[str] = field(default_factory=Counter[str])
    values: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    implied: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    implications: Implications = field(default_factory=Implications)
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, split: str, labels: pl.DataFrame, batch: Batch, encoder: Encoder) -> None:
        """Count rows of a split: their labels, a column a task, and their encoded form."""
        self.rows[split] += len(batch)
        self.implications.add(encoder.schema.tasks, labels)
        for task in encoder.schema.tasks:
            self.labels.setdefault((task, split), _LabelCount()).add(labels[task])
        if split == "test":
            self._count_unseen(batch, encoder)
        self.digest.update(split.encode())
        for tensor in (batch.codes, batch.numbers, batch.labels, *batch.lists.values()):
            self.digest.update(tensor.numpy().reshape(-1).data)

    def _count_unseen(self, batch: Batch, encoder: Encoder) -> None:
        layout = encoder.layout
        coded = [(f.name, f.table, batch.codes[:, i]) for i, f in enumerate(layout.codes)]
        coded += [(f.name, f.table, batch.lists[f.name]) for f in layout.lists]
        for name, table, codes in coded:
            if isinstance(encoder.tables.get(table), Vocabulary):
                self.unseen[name] += int((codes == UNSEEN).sum())
                self.values[name] += int((codes != PADDING).sum())

    def notes(self) -> list[str]:
        """Return sentences about what was skipped, unseen or missing."""
        skipped = [f"{n:,} rows left out for '{c}'" for c, n in self.skipped.items()]
        unseen = [
            f"{name}: {count / self.values[name]:.1%} of the test values never seen in training"
            for name, count in self.unseen.items()
            if count
        ]
        missing = [
            f"{task}: {self.rows[split] - count.rows:,} of {self.rows[split]:,} {split} rows have"
            " no label"
            for (task, split), count in self.labels.items()
            if count.rows < self.rows[split]
        ]
        implied = [
            f"{task}: {rows:,} rows without a label count as 0, as {needs} is 0 there"
            for (task, needs), rows in self.implied.items()
            if rows
        ]
        return skipped + unseen + missing + implied + self.implications.notes()

    def check(self, schema: Schema) -> None:
        """Raise DataError for a split without rows or labels, or with one class only."""
        for split in SPLITS:
            if self.rows[split] == 0:
                counts = ", ".join(f"{s} {self.rows[s]:,}" for s in SPLITS)
                raise DataError(
                    f"the {split} split holds no rows ({counts}); change data.split, or give more"
                    " rows"
                )
        self.implications.check()
        for (name, split), count in self.labels.items():
            if count.rows == 0:
                raise DataError(
                    f"task '{name}': no row of the {split} split has a label; change data.split, or"
                    " remove the task"
                )
            if isinstance(schema.tasks[name], Binary) and count.low == count.high:
                raise DataError(
                    f"task '{name}': all {count.rows:,} labels of the {split} split are"
                    f" {count.low:g}; a binary task needs both classes in every split: change"
                    " data.split, give more rows, or check the task's positive or threshold"
                )

    def facts(self, *, source: str, split: str) -> Facts:
        """Return what is kept with the run."""
        rates: dict[str, dict[str, float]] = {}
        for (task, part), count in self.labels.items():
            rates.setdefault(task, {})[part] = count.total / count.rows
        return Facts(
            source=source,
            split=split,
            rows=dict(self.rows),
            base_rates=rates,
            notes=tuple(self.notes()),
            fingerprint=self.digest.hexdigest(),
        )
