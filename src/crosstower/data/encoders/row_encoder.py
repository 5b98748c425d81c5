"""Encode one row without frames; costly results are cached, as requests repeat values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.partial_encoder import PartialEncoder
from crosstower.data.ragged import Lists, joined_lists
from crosstower.data.sources.frames import series_of
from crosstower.data.sources.source import Chunk
from crosstower.recipe.schema import Schema

_MOST_VALUES = 10_000  # of a column
_SHORT = 100  # characters of a text that is remembered


@dataclass(frozen=True)
class EncodedRow:
    """One row of a side: its codes, its numbers, and its lists of one row."""

    codes: NDArray[np.int32]
    numbers: NDArray[np.float32]
    lists: dict[str, Lists]


class RowEncoder:
    """Encodes a cleaned row, with the results of `PartialEncoder.encode`.

    Columns are cleaned and encoded one by one, those of a cross together. A single id or number
    is looked up at once; everything else goes the way of files, and is kept by its raw values.

    Args:
        encoder: of all columns.
        columns: of the side.

    """

    def __init__(self, encoder: Encoder, columns: Sequence[str]) -> None:
        self.side = PartialEncoder(encoder, columns)
        self._parts = [_part(encoder, names, self.side) for names in _together(self.side.schema)]

    def encode(self, row: Mapping[str, Any]) -> EncodedRow:
        """Return an encoded row; an absent source column counts as missing.

        Raises:
            DataError: a value is bad.

        """
        codes = np.empty(len(self.side.code_names), dtype=np.int32)
        numbers = np.empty(len(self.side.number_names), dtype=np.float32)
        encoded = EncodedRow(codes, numbers, {})
        for part in self._parts:
            part.put(row, encoded)
        return encoded

    def batch(self, rows: Sequence[EncodedRow]) -> Batch:
        """Return rows as a compact batch."""
        codes = torch.from_numpy(np.stack([row.codes for row in rows]))
        numbers = torch.from_numpy(np.stack([row.numbers for row in rows]))
        names = self.side.list_names
        lists = {name: joined_lists([row.lists[name] for row in rows]) for name in names}
        return Batch(codes, numbers, lists, torch.empty(len(rows), 0))


class _Part:
    """Columns that are encoded together, and their places among the side's."""

    def __init__(self, encoder: Encoder, columns: Sequence[str], whole: PartialEncoder) -> None:
        self._side = PartialEncoder(encoder, columns)
        self._codes = [whole.code_names.index(name) for name in self._side.code_names]
        self._numbers = [whole.number_names.index(name) for name in self._side.number_names]
        self._sources = self._side.schema.sources()
        self._cleaner = Cleaner(self._side.schema, [], with_labels=False)
        self._known: OrderedDict[Any, EncodedRow] = OrderedDict()

    def put(self, row: Mapping[str, Any], into: EncodedRow) -> None:
        """Write the columns of a raw row into an encoded one."""
        values = [row.get(name) for name in self._sources]
        key = tuple(_key(value) for value in values)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._encoded(values)
            if len(self._known) > _MOST_VALUES:
                self._known.popitem(last=False)
        into.codes[self._codes], into.numbers[self._numbers] = found.codes, found.numbers
        into.lists.update(found.lists)

    def _encoded(self, values: Sequence[Any]) -> EncodedRow:
        columns = zip(self._sources, values, strict=True)
        frame = pl.DataFrame([series_of(name, [value]) for name, value in columns])
        batch = self._side.encode(self._cleaner.clean(Chunk(frame, "the query", 0, 0)))
        return EncodedRow(batch.codes[0].numpy(), batch.numbers[0].numpy(), dict(batch.lists))


class _Value(_Part):
    """A column with one value per row, encoded at once; codes of short values are remembered."""

    def __init__(
        self,
        encoder: Encoder,
        columns: Sequence[str],
        whole: PartialEncoder,
        encode: Callable[[Any], Any],
    ) -> None:
        super().__init__(encoder, columns, whole)
        self._encode = encode
        self._seen: dict[tuple[type, Any], int] = {}

    def put(self, row: Mapping[str, Any], into: EncodedRow) -> None:
        value = row.get(self._sources[0])
        if not isinstance(value, Hashable):
            super().put(row, into)
            return
        found = self._seen.get((type(value), value))
        if found is None:
            found = self._encode(value)
            if found is None:
                super().put(row, into)  # which says where the value is
                return
            if self._numbers:
                into.numbers[self._numbers] = found
                return
            self._remember(value, found)
        into.codes[self._codes[0]] = found

    def _remember(self, value: Any, code: int) -> None:
        if isinstance(value, str) and len(value) > _SHORT:
            return
        self._seen[type(value), value] = code
        if len(self._seen) > _MOST_VALUES:
            del self._seen[next(iter(self._seen))]


def _part(encoder: Encoder, columns: Sequence[str], whole: PartialEncoder) -> _Part:
    name = columns[0]
    kind = encoder.schema.columns[name]
    # A kind made of another may read or encode values in its own way: it declares its own coder.
    if len(columns) == 1 and "value_coder" in vars(type(kind)):
        encode = kind.value_coder(encoder.states.get(name))
        if encode is not None:
            return _Value(encoder, columns, whole, encode)
    return _Part(encoder, columns, whole)


def _key(value: Any) -> Any:
    """Return a value to look up by, with its type: 1, 1.0 and True are not the same cell."""
    if isinstance(value, list | tuple):
        return (list, *(_key(one) for one in value))
    if isinstance(value, dict | set):
        return repr(value)
    return type(value), value


def _together(schema: Schema) -> list[list[str]]:
    """Return the columns in groups that do not depend on one another."""
    groups = [[name] for name, column in schema.columns.items() if not column.combines]
    for name, column in schema.columns.items():
        if column.combines:
            joined = [g for g in groups if set(g) & set(column.combines)]
            groups = [g for g in groups if g not in joined]
            groups.append([n for g in joined for n in g] + [name])
    return groups
