"""Learn an encoder from the training rows, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.labels import LabelFit
from crosstower.data.encoders.numbers import (
    Bucketised,
    Moments,
    NumberFit,
    Standardised,
    floats_of,
)
from crosstower.data.encoders.text_encoders import text_encoder
from crosstower.data.layout import Layout
from crosstower.errors import DataError
from crosstower.recipe.schema import (
    Categorical,
    Coded,
    Column,
    Distance,
    Numeric,
    Schema,
    Text,
    Vector,
)
from crosstower.recipe.tasks import Regression
from crosstower.values.tables import (
    HashBuckets,
    Table,
    Vocabulary,
    VocabularyFit,
    given_vocabulary,
)


@dataclass
class EncoderFit:
    """Learns an `Encoder` in one pass over cleaned training chunks."""

    schema: Schema
    rows: int = 0
    _tables: dict[str, VocabularyFit] = field(default_factory=dict[str, VocabularyFit])
    _numbers: dict[str, NumberFit] = field(default_factory=dict[str, NumberFit])
    _vectors: dict[str, Moments] = field(default_factory=dict[str, Moments])
    _lengths: dict[str, int] = field(default_factory=dict[str, int])
    _labels: dict[str, LabelFit] = field(default_factory=dict[str, LabelFit])
    _texts: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        """Set up what each column learns."""
        for name, column in self.schema.columns.items():
            self._set_up(name, column)
        for name, task in self.schema.tasks.items():
            if isinstance(task, Regression):
                self._labels[name] = LabelFit(task)

    def _set_up(self, name: str, column: Column) -> None:
        if isinstance(column, Numeric):
            self._numbers[name] = NumberFit(column)
        elif isinstance(column, Distance):
            self._numbers[name] = NumberFit(Numeric(transform=column.transform))
        elif isinstance(column, Text) and not column.hashed:
            text_encoder(column.encoder)  # an unknown name is an error before reading
            self._texts.append(name)
        elif isinstance(column, Vector):
            self._vectors[name] = Moments()
        elif isinstance(column, Coded) and _learns_vocabulary(column):
            self._tables[name] = VocabularyFit(column.min_count, column.max_size)

    def add(self, frame: pl.DataFrame) -> None:
        """Take in the training rows of one chunk."""
        self.rows += frame.height
        for name, column in self.schema.columns.items():
            if isinstance(column, Coded):
                self._add_coded(name, column, frame[name])
        for name, fit in self._numbers.items():
            fit.add(floats_of(frame[name]))
        for name, moments in self._vectors.items():
            moments.add(floats_of(frame[name].explode(empty_as_null=False, keep_nulls=False)))
        for name, fit in self._labels.items():
            fit.add(name, frame)

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
        vectors |= {n: Standardised(mean=0.0, sd=1.0) for n in self._texts}
        labels = {n: fit.scale for n, fit in self._labels.items()}
        others = {n: f.others.mean for n, f in self._labels.items() if f.task.when is not None}
        numbers = {n: fit.finish() for n, fit in self._numbers.items()}
        return Encoder(self.schema, tables, numbers, vectors, self._lengths, labels, others)

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
        return _given_table(column) or self._tables[name].finish()

    def _vector_scale(self, name: str, moments: Moments) -> Standardised:
        column = self.schema.columns[name]
        if isinstance(column, Vector) and column.normalise == "standardise":
            return Standardised(mean=moments.mean, sd=moments.sd)
        return Standardised(mean=0.0, sd=1.0)


def _learns_vocabulary(column: Coded) -> bool:
    return column.table is None and column.hash_buckets is None and column.vocabulary is None


def _given_table(column: Coded) -> Table | None:
    """Return the table that a column declares; None if it is learnt from the rows."""
    if column.hash_buckets is not None:
        return HashBuckets(column.hash_buckets)
    return given_vocabulary(column.vocabulary) if column.vocabulary is not None else None


def draft_layout(schema: Schema) -> Layout:
    """Return the layout of a schema whose rows have not been read, to check models against.

    Learnt vocabularies are empty, lists without `max_len` have one value, and no number is missing.
    """
    columns = schema.columns
    coded = {n: c for n, c in columns.items() if isinstance(c, Coded)}
    numbers = {n: c for n, c in columns.items() if isinstance(c, Numeric | Distance)}
    texts = {n: c for n, c in columns.items() if isinstance(c, Text) and not c.hashed}
    vectors = texts | {n: c for n, c in columns.items() if isinstance(c, Vector)}
    unknown, scale = Vocabulary(pl.Series(dtype=pl.Int64)), Standardised(mean=0.0, sd=1.0)
    draft = Encoder(
        schema,
        {n: _given_table(c) or unknown for n, c in coded.items() if c.table is None},
        {n: _draft_number(c) for n, c in numbers.items()},
        dict.fromkeys(vectors, scale),
        {n: c.max_len or 1 for n, c in coded.items() if not isinstance(c, Categorical)},
        {},
    )
    return draft.layout


def _draft_number(column: Numeric | Distance) -> Standardised | Bucketised:
    if column.transform != "bucketise":
        return Standardised(mean=0.0, sd=1.0)
    return Bucketised(boundaries=column.boundaries or tuple(map(float, range(1, column.buckets))))
