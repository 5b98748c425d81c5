"""Encode one row of a side without frames, remembering what was harder: requests repeat values."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.batch import Batch
from crosstower.columns import Categorical, Numeric
from crosstower.data.clean import Cleaner
from crosstower.data.encode import Encoder
from crosstower.data.numbers import Bucketised
from crosstower.data.side import Side
from crosstower.data.sources import Chunk
from crosstower.layout import MISSING
from crosstower.schema import Cross, Schema

_MOST_VALUES = 10_000  # of a column
_LOW, _HIGH = -(2**63), 2**63


@dataclass(frozen=True)
class EncodedRow:
    """One row of a side: its codes, its numbers, and its lists `[1, L]`."""

    codes: NDArray[np.int32]
    numbers: NDArray[np.float32]
    lists: Mapping[str, Tensor]


class SideRow:
    """Gives what `Side.encode` gives for the cleaned row.

    Columns are cleaned and encoded one by one, those of a cross together. A single id or number
    is looked up at once; everything else goes the way of files, and is kept by its raw values.

    Args:
        encoder: of all columns.
        columns: of the side.

    """

    def __init__(self, encoder: Encoder, columns: Sequence[str]) -> None:
        self.side = Side(encoder, columns)
        self._parts = [_Part(encoder, names, self.side) for names in _together(self.side.schema)]

    def encode(self, row: Mapping[str, Any]) -> EncodedRow:
        """Return a row encoded; a source column that is not there is missing.

        Raises:
            DataError: a value is bad.

        """
        codes = np.empty(len(self.side.code_names), dtype=np.int32)
        numbers = np.empty(len(self.side.number_names), dtype=np.float32)
        lists: dict[str, Tensor] = {}
        for part in self._parts:
            found = part.encode(row)
            codes[part.codes], numbers[part.numbers] = found.codes, found.numbers
            lists |= found.lists
        return EncodedRow(codes, numbers, lists)

    def batch(self, rows: Sequence[EncodedRow]) -> Batch:
        """Return rows as a compact batch."""
        codes = torch.from_numpy(np.stack([row.codes for row in rows]))
        numbers = torch.from_numpy(np.stack([row.numbers for row in rows]))
        names = self.side.list_names
        lists = {name: torch.cat([row.lists[name] for row in rows]) for name in names}
        return Batch(codes, numbers, lists, torch.empty(len(rows), 0))


class _Part:
    """Columns that are encoded together; `codes` and `numbers` are their places in the side's."""

    def __init__(self, encoder: Encoder, columns: Sequence[str], whole: Side) -> None:
        self.side = Side(encoder, columns)
        self.codes = [whole.code_names.index(name) for name in self.side.code_names]
        self.numbers = [whole.number_names.index(name) for name in self.side.number_names]
        self._sources = self.side.schema.sources()
        self._cleaner = Cleaner(self.side.schema, [], with_labels=False)
        self._at_once = _at_once(encoder, columns)
        self._known: OrderedDict[Any, EncodedRow] = OrderedDict()

    def encode(self, row: Mapping[str, Any]) -> EncodedRow:
        values = [row.get(name) for name in self._sources]
        if self._at_once is not None:
            found = self._at_once(values[0])
            if found is not None:
                return found
        key = tuple(_key(value) for value in values)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._encoded(values)
            if len(self._known) > _MOST_VALUES:
                self._known.popitem(last=False)
        return found

    def _encoded(self, values: Sequence[Any]) -> EncodedRow:
        columns = zip(self._sources, values, strict=True)
        frame = pl.DataFrame({name: [value] for name, value in columns}, strict=False)
        batch = self.side.encode(self._cleaner.clean(Chunk(frame, "the query", 0, 0)))
        return EncodedRow(batch.codes[0].numpy(), batch.numbers[0].numpy(), batch.lists)


_AtOnce = Callable[[Any], EncodedRow | None]
_NO_CODE, _NO_NUMBER = np.empty(0, np.int32), np.empty(0, np.float32)


def _at_once(encoder: Encoder, columns: Sequence[str]) -> _AtOnce | None:
    """Return what encodes a plain value of a lone column; None where it must go the long way."""
    column = encoder.schema.columns[columns[0]]
    if len(columns) > 1:
        return None
    if isinstance(column, Categorical):
        return _ids(encoder, column.table or columns[0])
    return _numbers(encoder, columns[0]) if isinstance(column, Numeric) else None


def _ids(encoder: Encoder, owner: str) -> _AtOnce:
    table = encoder.tables[owner]

    def at_once(value: Any) -> EncodedRow | None:
        if value is None:
            code = MISSING
        elif type(value) is str or (type(value) is int and _LOW <= value < _HIGH):
            code = table.code_of(value)
        else:
            return None
        return EncodedRow(np.array([code], dtype=np.int32), _NO_NUMBER, {})

    return at_once


def _numbers(encoder: Encoder, name: str) -> _AtOnce:
    number = encoder.numbers[name]

    def at_once(value: Any) -> EncodedRow | None:
        if value is None:
            x = math.nan
        elif type(value) is float and math.isfinite(value):
            x = value
        elif type(value) is int and _LOW <= value < _HIGH:
            x = float(value)
        else:
            return None
        if isinstance(number, Bucketised):
            return EncodedRow(number.encode(np.array([x])), _NO_NUMBER, {})
        scaled = number.scale(np.array([x])).astype(np.float32)
        if number.had_missing:
            scaled = np.append(scaled, np.float32(math.isnan(x)))
        return EncodedRow(_NO_CODE, scaled, {})

    return at_once


def _key(value: Any) -> Any:
    """Return a value to look up by, with its type: 1, 1.0 and True are not the same cell."""
    if isinstance(value, list | tuple):
        return (list, *(_key(one) for one in value))
    if isinstance(value, dict | set):
        return repr(value)
    return type(value), value


def _together(schema: Schema) -> list[list[str]]:
    """Return the columns in groups that do not depend on one another."""
    groups = [[name] for name, column in schema.columns.items() if not isinstance(column, Cross)]
    for name, column in schema.columns.items():
        if isinstance(column, Cross):
            joined = [g for g in groups if set(g) & set(column.columns)]
            groups = [g for g in groups if g not in joined]
            groups.append([n for g in joined for n in g] + [name])
    return groups
