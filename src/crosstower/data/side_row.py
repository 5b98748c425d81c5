"""Encode one row of a side, remembering what single values became: requests repeat them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import torch

from crosstower.batch import Batch
from crosstower.data.clean import Cleaner
from crosstower.data.encode import Encoder
from crosstower.data.side import Side
from crosstower.data.sources import Chunk
from crosstower.schema import Cross, Schema

_MOST_VALUES = 10_000  # of a column


class SideRow:
    """Gives what `Side.encode` gives for the cleaned row.

    Columns are cleaned and encoded one by one, those of a cross together, and each is kept by the
    raw values that it was made of.

    Args:
        encoder: of all columns.
        columns: of the side.

    """

    def __init__(self, encoder: Encoder, columns: Sequence[str]) -> None:
        self.side = Side(encoder, columns)
        self._parts = [_Part(encoder, names) for names in _together(self.side.schema)]

    def encode(self, row: Mapping[str, Any]) -> Batch:
        """Return a compact batch of one row; a source column that is not there is missing.

        Raises:
            DataError: a value is bad.

        """
        batches = [part.encode(row) for part in self._parts]
        codes, numbers = self.side.blank(1)
        lists: dict[str, torch.Tensor] = {}
        for part, batch in zip(self._parts, batches, strict=True):
            part.side.put(batch, codes, numbers)
            lists |= batch.lists
        ordered = {name: lists[name] for name in self.side.list_names}
        return self.side.narrow(Batch(codes, numbers, ordered, torch.empty(1, 0)))


class _Part:
    """Columns that are encoded together."""

    def __init__(self, encoder: Encoder, columns: Sequence[str]) -> None:
        self.side = Side(encoder, columns)
        self._sources = self.side.schema.sources()
        self._cleaner = Cleaner(self.side.schema, [], with_labels=False)
        self._known: OrderedDict[Any, Batch] = OrderedDict()

    def encode(self, row: Mapping[str, Any]) -> Batch:
        values = [row.get(name) for name in self._sources]
        key = tuple(_key(value) for value in values)
        found = self._known.get(key)
        if found is None:
            columns = zip(self._sources, values, strict=True)
            frame = pl.DataFrame({name: [value] for name, value in columns}, strict=False)
            cleaned = self._cleaner.clean(Chunk(frame, "the query", 0, 0))
            found = self._known[key] = self.side.encode(cleaned)
            if len(self._known) > _MOST_VALUES:
                self._known.popitem(last=False)
        return found


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
