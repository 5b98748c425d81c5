"""Fit encoders on training rows; turn cleaned rows into batches, and logits into answers.

The same `Encoder` serves training, batch scoring, export and the server, so nothing drifts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.special import expit

from crosstower.batch import Batch
from crosstower.data.hashing import combine
from crosstower.data.lists import pad
from crosstower.data.numbers import Bucketised, Moments, NumberFit, Ranked, Standardised
from crosstower.data.tables import HashBuckets, Table, VocabularyFit, given_vocabulary
from crosstower.errors import DataError
from crosstower.layout import RESERVED_CODES, CodeField, Head, Layout, ListField
from crosstower.schema import (
    Bag,
    Categorical,
    Coded,
    Cross,
    Numeric,
    Schema,
    Sequence,
    Vector,
    is_single_coded,
)
from crosstower.tasks import Binary, Rating, Regression


@dataclass(frozen=True)
class Encoder:
    """The fitted state of a schema. `label_scales` holds (mean, sd) of regression labels."""

    schema: Schema
    tables: dict[str, Table]
    numbers: dict[str, Standardised | Ranked | Bucketised]
    vectors: dict[str, Standardised]
    lengths: dict[str, int]
    label_scales: dict[str, tuple[float, float]]

    @property
    def layout(self) -> Layout:
        """The inputs and outputs of a model for this encoder."""
        columns = self.schema.columns
        codes = [self._code_field(n) for n in self._coded_names()]
        lists = [
            self._list_field(n, c) for n, c in columns.items() if isinstance(c, Bag | Sequence)
        ]
        heads = tuple(Head(name, task.kind) for name, task in self.schema.tasks.items())
        numbers = [(column, name) for column, names in self._number_names() for name in names]
        names, owners = tuple(name for _, name in numbers), tuple(owner for owner, _ in numbers)
        return Layout(tuple(codes), names, tuple(lists), heads, owners)

    def encode(self, frame: pl.DataFrame) -> Batch:
        """Return cleaned rows as tensors; labels are NaN where the frame has none."""
        codes = self._codes(frame)
        stacked = np.stack(list(codes.values()), axis=1) if codes else np.empty((frame.height, 0))
        return Batch(
            torch.from_numpy(stacked.astype(np.int32)),
            torch.from_numpy(self._numbers(frame)),
            {f.name: torch.from_numpy(self._list(frame[f.name], f)) for f in self.layout.lists},
            torch.from_numpy(self._labels(frame)),
        )

    def decode(self, task: str, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return logits of a head as probabilities, ratings or numbers in label units."""
        declared = self.schema.tasks[task]
        if isinstance(declared, Binary):
            return expit(logits.astype(np.float64))
        if isinstance(declared, Rating):
            return declared.low + (declared.high - declared.low) * expit(logits.astype(np.float64))
        mean, sd = self.label_scales[task]
        values = logits.astype(np.float64) * sd + mean
        values = np.expm1(values) if declared.log1p else values
        return values if declared.clip is None else np.clip(values, *declared.clip)

    def _coded_names(self) -> list[str]:
        singles = [n for n, c in self.schema.columns.items() if is_single_coded(c)]
        return singles + [n for n, c in self.schema.columns.items() if isinstance(c, Cross)]

    def _code_field(self, name: str) -> CodeField:
        column = self.schema.columns[name]
        if isinstance(column, Cross):
            return CodeField(name, RESERVED_CODES + column.hash_buckets, name, column.dim or 0)
        if isinstance(column, Categorical):
            owner = column.table or name
            return CodeField(name, self.tables[owner].size, owner, self._width(owner))
        number = self.numbers[name]
        size = number.size if isinstance(number, Bucketised) else 0
        return CodeField(name, size, name, column.dim if isinstance(column, Numeric) else None)

    def _list_field(self, name: str, column: Bag | Sequence) -> ListField:
        owner = column.table or name
        size, length = self.tables[owner].size, self.lengths[name]
        return ListField(name, size, owner, length, column.pooling, self._width(owner))

    def _width(self, owner: str) -> int | None:
        column = self.schema.columns[owner]
        return column.dim if isinstance(column, Coded) else None

    def _number_names(self) -> list[tuple[str, list[str]]]:
        """Return (column, names of its numbers) in the order of `Batch.numbers`."""
        names: list[tuple[str, list[str]]] = []
        for name, number in self.numbers.items():
            if not isinstance(number, Bucketised):
                indicator = [f"{name} is missing"] if number.had_missing else []
                names.append((name, [name, *indicator]))
        for name in self.vectors:
            column = self.schema.columns[name]
            width = column.width if isinstance(column, Vector) else 0
            names.append((name, [f"{name}[{i}]" for i in range(width)]))
        return names

    def _codes(self, frame: pl.DataFrame) -> dict[str, NDArray[np.int32]]:
        codes: dict[str, NDArray[np.int32]] = {}
        for name in self._coded_names():
            column = self.schema.columns[name]
            if isinstance(column, Cross):
                hashes = combine([codes[c] for c in column.columns])
                buckets = np.uint64(column.hash_buckets)
                codes[name] = (hashes % buckets).astype(np.int32) + RESERVED_CODES
            elif isinstance(column, Categorical):
                codes[name] = self.tables[column.table or name].encode(frame[name])
            else:
                number = self.numbers[name]
                if isinstance(number, Bucketised):
                    codes[name] = number.encode(_floats(frame[name]))
        return codes

    def _numbers(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        parts: list[NDArray[Any]] = []
        for name, number in self.numbers.items():
            if not isinstance(number, Bucketised):
                x = _floats(frame[name])
                parts.append(number.scale(x)[:, None])
                if number.had_missing:
                    parts.append(np.isnan(x)[:, None])
        for name, scale in self.vectors.items():
            parts.append(self._vector(frame[name], name, scale))
        empty = np.empty((frame.height, 0))
        return np.concatenate([empty, *parts], axis=1).astype(np.float32)

    def _vector(self, series: pl.Series, name: str, scale: Standardised) -> NDArray[Any]:
        column = self.schema.columns[name]
        if not isinstance(column, Vector):
            raise TypeError(f"column '{name}' is not a vector")
        x = _matrix(series, column.width)
        if column.normalise == "l2":
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x = x / np.where(norm > 0, norm, 1.0)
        return scale.scale(x)

    def _list(self, series: pl.Series, field: ListField) -> NDArray[np.int32]:
        last = isinstance(self.schema.columns[field.name], Sequence)
        return pad(series, self.tables[field.table], length=field.length, keep_last=last)

    def _labels(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        labels = np.full((frame.height, len(self.schema.tasks)), np.nan, dtype=np.float32)
        for place, (name, task) in enumerate(self.schema.tasks.items()):
            if f"label:{name}" in frame.columns:
                y = _floats(frame[f"label:{name}"])
                if isinstance(task, Rating):
                    y = (y - task.low) / (task.high - task.low)
                elif isinstance(task, Regression):
                    mean, sd = self.label_scales[name]
                    y = ((np.log1p(y) if task.log1p else y) - mean) / sd
                labels[:, place] = y
        return labels


@dataclass
class EncoderFit:
    """Learns an `Encoder` in one pass over cleaned training chunks."""

    schema: Schema
    rows: int = 0
    _tables: dict[str, VocabularyFit] = field(default_factory=dict[str, VocabularyFit])
    _numbers: dict[str, NumberFit] = field(default_factory=dict[str, NumberFit])
    _vectors: dict[str, Moments] = field(default_factory=dict[str, Moments])
    _lengths: dict[str, int] = field(default_factory=dict[str, int])
    _labels: dict[str, Moments] = field(default_factory=dict[str, Moments])

    def __post_init__(self) -> None:
        """Set up what each column learns."""
        for name, column in self.schema.columns.items():
            if isinstance(column, Numeric):
                self._numbers[name] = NumberFit(column)
            elif isinstance(column, Vector):
                self._vectors[name] = Moments()
            elif isinstance(column, Coded) and _learns_vocabulary(column):
                self._tables[name] = VocabularyFit(column.min_count, column.max_size)
        for name, task in self.schema.tasks.items():
            if isinstance(task, Regression):
                self._labels[name] = Moments()

    def add(self, frame: pl.DataFrame) -> None:
        """Take in the training rows of one chunk."""
        self.rows += frame.height
        for name, column in self.schema.columns.items():
            if isinstance(column, Coded):
                self._add_coded(name, column, frame[name])
        for name, fit in self._numbers.items():
            fit.add(_floats(frame[name]))
        for name, moments in self._vectors.items():
            moments.add(_floats(frame[name].explode(empty_as_null=False, keep_nulls=False)))
        for name, moments in self._labels.items():
            task, y = self.schema.tasks[name], _floats(frame[f"label:{name}"].drop_nulls())
            moments.add(np.log1p(y) if isinstance(task, Regression) and task.log1p else y)

    def finish(self) -> Encoder:
        """Return the fitted encoder.

        Raises:
            DataError: there was no training row.

        """
        if self.rows == 0:
            raise DataError("the training split holds no rows; change data.split")
        tables: dict[str, Table] = {}
        for name, column in self.schema.columns.items():
            if isinstance(column, Coded) and column.table is None:
                tables[name] = self._table(name, column)
        vectors = {n: self._vector_scale(n, m) for n, m in self._vectors.items()}
        labels = {n: (m.mean, m.sd) for n, m in self._labels.items()}
        numbers = {n: fit.finish() for n, fit in self._numbers.items()}
        return Encoder(self.schema, tables, numbers, vectors, self._lengths, labels)

    def _add_coded(self, name: str, column: Coded, ids: pl.Series) -> None:
        if not isinstance(column, Categorical):
            longest = int(ids.list.len().max() or 0)  # type: ignore[arg-type]
            limit = column.max_len or longest
            self._lengths[name] = max(self._lengths.get(name, 1), min(longest, limit))
            ids = ids.explode(empty_as_null=False, keep_nulls=False)
        owner = column.table or name
        if owner in self._tables:
            self._tables[owner].add(ids)

    def _table(self, name: str, column: Coded) -> Table:
        if column.hash_buckets is not None:
            return HashBuckets(column.hash_buckets)
        if column.vocabulary is not None:
            return given_vocabulary(column.vocabulary)
        return self._tables[name].finish()

    def _vector_scale(self, name: str, moments: Moments) -> Standardised:
        column = self.schema.columns[name]
        if isinstance(column, Vector) and column.normalise == "standardise":
            return Standardised(mean=moments.mean, sd=moments.sd)
        return Standardised(mean=0.0, sd=1.0)


def _learns_vocabulary(column: Coded) -> bool:
    return column.table is None and column.hash_buckets is None and column.vocabulary is None


def _floats(series: pl.Series) -> NDArray[np.float64]:
    """Return a float series as NumPy; nulls become NaN."""
    return series.fill_null(float("nan")).to_numpy().astype(np.float64)


def _matrix(series: pl.Series, width: int) -> NDArray[np.float64]:
    present = series.is_not_null().to_numpy()
    matrix = np.full((len(series), width), np.nan)
    flat = series.explode(empty_as_null=False, keep_nulls=False)
    matrix[present] = flat.to_numpy().reshape(-1, width)
    return matrix
