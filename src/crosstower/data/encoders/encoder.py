"""Fit encoders on training rows; turn cleaned rows into batches, and logits into predictions.

The same `Encoder` serves training, batch scoring, export and the server, so nothing drifts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.encoders.labels import decode_logits, encode_labels
from crosstower.data.encoders.lists import list_codes
from crosstower.data.encoders.numbers import Bucketised, Ranked, Standardised, floats_of
from crosstower.data.encoders.text import text_codes
from crosstower.data.encoders.text_encoders import text_encoder, text_vectors
from crosstower.data.layout import RESERVED_CODES, CodeField, Head, Layout, ListField
from crosstower.data.ragged import Lists
from crosstower.recipe.schema import (
    Bag,
    Categorical,
    Coded,
    Column,
    Cross,
    Numeric,
    Schema,
    Sequence,
    Text,
    Vector,
    is_single_coded,
)
from crosstower.values.hashing import combine
from crosstower.values.tables import Table


@dataclass(frozen=True)
class Encoder:
    """The fitted state of a schema.

    `label_scales` holds (mean, sd) of regression labels, `otherwise` the mean label of conditional
    ones in rows where their event did not happen.

    With `only` it encodes some of the columns, from frames that hold only those; see
    `PartialEncoder`.
    """

    schema: Schema
    tables: dict[str, Table]
    numbers: dict[str, Standardised | Ranked | Bucketised]
    vectors: dict[str, Standardised]
    lengths: dict[str, int]
    label_scales: dict[str, tuple[float, float]]
    otherwise: dict[str, float] = field(default_factory=dict[str, float])
    only: tuple[str, ...] | None = None

    @cached_property
    def layout(self) -> Layout:
        """The inputs and outputs of a model for this encoder."""
        codes = [self._code_field(n) for n in self._coded_names()]
        lists = [self._list_field(n, c) for n, c in self._columns() if is_list(c)]
        heads = tuple(Head(name, task.kind) for name, task in self.schema.tasks.items())
        numbers = [(column, name) for column, names in self._number_names() for name in names]
        names, owners = tuple(name for _, name in numbers), tuple(owner for owner, _ in numbers)
        return Layout(tuple(codes), names, tuple(lists), heads, owners)

    def encode(self, frame: pl.DataFrame) -> Batch:
        """Return cleaned rows as tensors; labels are NaN where the frame has none."""
        codes = self._codes(frame)
        stacked = np.empty((frame.height, len(codes)), dtype=np.int32)
        for place, column in enumerate(codes.values()):
            stacked[:, place] = column
        labels = torch.empty(frame.height, 0)
        if self.only is None:
            labels = torch.from_numpy(encode_labels(self.schema, self.label_scales, frame))
        return Batch(
            torch.from_numpy(stacked),
            torch.from_numpy(self._numbers(frame)),
            {f.name: self._list(frame[f.name], f) for f in self.layout.lists},
            labels,
        )

    def decode(
        self, logits: Mapping[str, NDArray[Any]], *, kept: Mapping[str, float] | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """Return logits of all heads as probabilities, ratings or numbers in label units.

        `kept` is the share of the negatives of binary tasks that the training rows kept; the
        expectation of a conditional regression takes it into account.
        """
        return decode_logits(self.schema, self.label_scales, self.otherwise, logits, kept or {})

    def _columns(self) -> list[tuple[str, Column]]:
        return [(n, c) for n, c in self.schema.columns.items() if self._has(n)]

    def _has(self, name: str) -> bool:
        return self.only is None or name in self.only

    def _coded_names(self) -> list[str]:
        singles = [n for n, c in self._columns() if is_single_coded(c)]
        return singles + [n for n, c in self._columns() if isinstance(c, Cross)]

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

    def _list_field(self, name: str, column: Bag | Sequence | Text) -> ListField:
        owner = column.table or name
        if isinstance(column, Text):
            size = RESERVED_CODES + self._text(owner).hash_buckets
            width = self._text(owner).dim
            return ListField(name, size, owner, column.max_len, "mean", width)
        size, length = self.tables[owner].size, self.lengths[name]
        return ListField(name, size, owner, length, column.pooling, self._width(owner))

    def _width(self, owner: str) -> int | None:
        column = self.schema.columns[owner]
        return column.dim if isinstance(column, Coded) else None

    def _text(self, name: str) -> Text:
        column = self.schema.columns[name]
        if not isinstance(column, Text):
            raise TypeError(f"column '{name}' is not text")
        return column

    def _number_names(self) -> list[tuple[str, list[str]]]:
        """Return (column, names of its numbers) in the order of `Batch.numbers`."""
        names: list[tuple[str, list[str]]] = []
        for name, number in self.numbers.items():
            if self._has(name) and not isinstance(number, Bucketised):
                indicator = [f"{name} is missing"] if number.had_missing else []
                names.append((name, [name, *indicator]))
        for name in filter(self._has, self.vectors):
            width = _vector_width(self.schema.columns[name])
            names.append((name, [f"{name}[{i}]" for i in range(width)]))
        return names

    def _codes(self, frame: pl.DataFrame) -> dict[str, NDArray[np.int32]]:
        codes: dict[str, NDArray[np.int32]] = {}
        for name in (one.name for one in self.layout.codes):
            column = self.schema.columns[name]
            if isinstance(column, Cross):
                codes[name] = crossed(column, [codes[c] for c in column.columns])
            elif isinstance(column, Categorical):
                codes[name] = self.tables[column.table or name].encode(frame[name])
            else:
                number = self.numbers[name]
                if isinstance(number, Bucketised):
                    codes[name] = number.encode(floats_of(frame[name]))
        return codes

    def _numbers(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        parts: list[NDArray[Any]] = []
        for name, number in self.numbers.items():
            if self._has(name) and not isinstance(number, Bucketised):
                x = floats_of(frame[name])
                parts.append(number.scale(x)[:, None])
                if number.had_missing:
                    parts.append(np.isnan(x)[:, None])
        for name, scale in self.vectors.items():
            if self._has(name):
                parts.append(self._vector(frame[name], name, scale))
        empty = np.empty((frame.height, 0))
        wide = [empty, *parts]
        return np.concatenate(wide, axis=1, dtype=np.float32, casting="same_kind")

    def _vector(self, series: pl.Series, name: str, scale: Standardised) -> NDArray[Any]:
        column = self.schema.columns[name]
        if isinstance(column, Text):
            return text_vectors(series, column.encoder)
        if not isinstance(column, Vector):
            raise TypeError(f"column '{name}' is not a vector")
        x = _matrix(series, column.width)
        if column.normalise == "l2":
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x = x / np.where(norm > 0, norm, 1.0)
        return scale.scale(x)

    def _list(self, series: pl.Series, field: ListField) -> Lists:
        column = self.schema.columns[field.name]
        if isinstance(column, Text):
            shared = {"hash_buckets": self._text(field.table).hash_buckets}
            codes = text_codes(series, column.model_copy(update=shared))
            return torch.from_numpy(codes)  # `max_len` is part of the column: no row widens it
        last = isinstance(column, Sequence)
        return list_codes(series, self.tables[field.table], length=field.length, keep_last=last)


def crossed(cross: Cross, codes: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return the codes `[B]` of a cross from those of its columns, in their order."""
    buckets = np.uint64(cross.hash_buckets)
    return (combine(codes) % buckets).astype(np.int32) + RESERVED_CODES


def is_list(column: Column) -> TypeGuard[Bag | Sequence | Text]:
    """Tell whether the column gives a list of codes a row."""
    return isinstance(column, Bag | Sequence) or (isinstance(column, Text) and column.hashed)


def _vector_width(column: Column) -> int:
    if isinstance(column, Text):
        return text_encoder(column.encoder).width
    return column.width if isinstance(column, Vector) else 0


def _matrix(series: pl.Series, width: int) -> NDArray[np.float64]:
    present = series.is_not_null().to_numpy()
    matrix = np.full((len(series), width), np.nan)
    flat = series.explode(empty_as_null=False, keep_nulls=False)
    matrix[present] = flat.to_numpy().reshape(-1, width)
    return matrix
