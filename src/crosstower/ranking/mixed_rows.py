"""Encoded rows whose columns come from different rows, for importance and explanations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists, Ragged
from crosstower.values.arrays import Indices


class ColumnMixer:
    """Puts rows together from the columns of others.

    Args:
        encoder: of the rows.

    `columns` are the M schema columns that can be mixed. A cross follows its columns.

    """

    def __init__(self, encoder: Encoder) -> None:
        layout, schema = encoder.layout, encoder.schema
        self.columns = [name for name in _read(layout) if not schema.columns[name].combines]
        self._codes = {field.name: place for place, field in enumerate(layout.codes)}
        self._lists = {f.name: [f.name, *([f.ages] if f.ages else [])] for f in layout.lists}
        self._numbers: dict[str, list[int]] = {}
        for place, name in enumerate(layout.columns_of_numbers()):
            self._numbers.setdefault(name, []).append(place)
        self._crosses = [
            (place, schema.columns[name].coder(None), [self._codes[part] for part in parts])
            for name, place in self._codes.items()
            if (parts := schema.columns[name].combines)
        ]

    def mix(self, rows: Batch, source: Indices) -> Batch:
        """Return R rows; column j of row r is that of row `source[r, j]`.

        Args:
            rows: encoded rows to take from.
            source: `[R, M]`, in the order of `columns`.

        """
        codes = np.empty((len(source), rows.codes.shape[1]), dtype=np.int32)
        numbers = np.empty((len(source), rows.numbers.shape[1]), dtype=np.float32)
        lists = dict[str, Lists]()
        for name, places in zip(self.columns, source.T, strict=True):
            if name in rows.lists:
                for one in self._lists[name]:  # a history takes its ages along
                    column = rows.lists[one]
                    taken = column.take if isinstance(column, Ragged) else column.__getitem__
                    lists[one] = taken(places)
            elif name in self._codes:
                codes[:, self._codes[name]] = rows.codes.numpy()[places, self._codes[name]]
            else:
                at = self._numbers[name]
                numbers[:, at] = rows.numbers.numpy()[places][:, at]
        for place, cross, parts in self._crosses:
            codes[:, place] = cross([codes[:, part] for part in parts])
        return Batch(
            torch.from_numpy(codes),
            torch.from_numpy(numbers),
            {name: lists[name] for name in rows.lists},
            torch.empty(len(source), 0),
        )


def with_layout(rows: Batch, layout: Layout, wanted: Layout) -> Batch:
    """Return encoded rows with some of their columns, such as those that serving reads.

    Args:
        rows: encoded.
        layout: of the rows.
        wanted: has no column that `layout` lacks.

    """
    if wanted == layout:
        return rows
    codes = [field.name for field in layout.codes]
    places = [codes.index(field.name) for field in wanted.codes]
    numbers = [layout.numbers.index(name) for name in wanted.numbers]
    return Batch(
        rows.codes[:, places],
        rows.numbers[:, numbers],
        {name: rows.lists[name] for name in wanted.list_names()},
        rows.labels,
    )


def _read(layout: Layout) -> Iterator[str]:
    """Yield the columns of a layout, each once."""
    names = [field.name for field in layout.codes]
    names += [*layout.columns_of_numbers(), *(field.name for field in layout.lists)]
    yield from dict.fromkeys(names)
