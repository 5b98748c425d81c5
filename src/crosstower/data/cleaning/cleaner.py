"""Check raw cells and bring them to the few types that encoders know.

A cleaned frame has one column per schema column, under its name. The labels, what evaluation needs
as it was, and the row's number in the source stand under the names of
`crosstower.recipe.own_columns`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.cleaning.cells import (
    Cells,
    amount_cells,
    column_cells,
    distance_cells,
    number_cells,
    time_cells,
)
from crosstower.data.cleaning.label_cells import label_cells
from crosstower.data.sources.source import Chunk
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.own_columns import (
    ROW,
    amount_name,
    label_name,
    raw_name,
    time_name,
    truth_name,
)
from crosstower.recipe.schema import Cross, Distance, Schema
from crosstower.recipe.tasks import Binary, Regression, Task

OnBadRows = Literal["error", "skip"]


@dataclass
class Cleaner:
    """Turns chunks of raw rows into cleaned frames, and counts the rows that it leaves out.

    `amounts` are columns that must hold a finite number of at least 0 in every row, such as the
    bid that a blend multiplies with. `clocks` read columns that must hold a time in every row.
    `on_bad_rows`: 'error' stops at the first bad cell, 'skip' drops the row and counts it.
    `implied` counts the labels by (task, the task it needs) that are missing and 0. `with_labels`
    False leaves labels out (prediction).
    """

    schema: Schema
    extras: Sequence[str] = ()
    on_bad_rows: OnBadRows = "error"
    with_labels: bool = True
    amounts: Sequence[str] = ()
    clocks: Sequence[Clock] = ()
    skipped: Counter[str] = field(default_factory=Counter[str])
    implied: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def sources(self) -> list[str]:
        """Return the data columns to read, each once."""
        labels = self.schema.label_sources() if self.with_labels else []
        times = [clock.column for clock in self.clocks]
        names = [*self.schema.sources(), *labels, *self.extras, *self.amounts, *times]
        return list(dict.fromkeys(names))

    def clean(self, chunk: Chunk) -> pl.DataFrame:
        """Return the good rows of `chunk`.

        Raises:
            DataError: a cell is of the wrong type, not finite, or a label out of its range.

        """
        count = chunk.frame.height
        # Series made of arrays: a request's single row is cleaned as often as files are.
        cleaned = [pl.Series(ROW, np.arange(chunk.index, chunk.index + count, dtype=np.int64))]
        keep = np.ones(count, dtype=bool)
        for name, source, result in self._cells(chunk.frame):
            keep &= self._good(result, chunk, source)
            cleaned.append(result.values.alias(name))
        cleaned += [chunk.frame[e].alias(raw_name(e)) for e in self.extras]
        frame = pl.DataFrame(cleaned)
        frame.columns = [series.name for series in cleaned]  # a nameless one stays nameless
        return frame if keep.all() else frame.filter(pl.Series(keep))

    def _cells(self, frame: pl.DataFrame) -> list[tuple[str, str, Cells]]:
        cells: list[tuple[str, str, Cells]] = []
        for name, column in self.schema.columns.items():
            if isinstance(column, Distance):
                cells += distance_cells(name, column, frame)
            elif not isinstance(column, Cross):
                source = column.source or name
                cells.append((name, source, column_cells(name, column, frame[source])))
        if self.with_labels:
            for name, task in self.schema.tasks.items():
                source = task.column or name
                label = self._label(task, frame[source], frame)
                if task.needs is not None:
                    filled = frame[source].is_null() & label.values.is_not_null()
                    self.implied[name, task.needs] += int(filled.sum())
                cells.append((label_name(name), source, label))
                if isinstance(task, Binary) and task.true_probability:
                    truth = number_cells(frame[task.true_probability])
                    cells.append((truth_name(name), task.true_probability, truth))
        cells += [(amount_name(name), name, amount_cells(frame[name])) for name in self.amounts]
        cells += [
            (time_name(c.column), c.column, time_cells(c, frame[c.column])) for c in self.clocks
        ]
        return cells

    def _label(self, task: Task, raw: pl.Series, frame: pl.DataFrame) -> Cells:
        """Return labels; one that is missing where its event did not happen is 0."""
        cells = label_cells(task, raw)
        if task.needs is None:
            return cells
        event = self.schema.tasks[task.needs]
        happened = self._label(event, frame[event.column or task.needs], frame).values
        nothing = (happened == 0).fill_null(value=False) & raw.is_null()
        low, high = (task.clip if isinstance(task, Regression) else None) or (0.0, 0.0)
        zero = pl.repeat(min(max(0.0, low), high), len(raw), dtype=pl.Float64, eager=True)
        values = zero.zip_with(nothing, cells.values)
        return Cells(values, cells.bad, cells.expected, cells.advice)

    def _good(self, cells: Cells, chunk: Chunk, source: str) -> NDArray[np.bool_]:
        bad = cells.bad
        if self.on_bad_rows == "error" and bad.any():
            row = int(bad.arg_max() or 0)
            cell = _shown(chunk.frame[source][row])
            raise DataError(
                f"column '{source}': expected {cells.expected}, got {cell}"
                f" in row {chunk.first_row + row} of {chunk.origin};"
                f" {cells.advice}, or set data.on_bad_rows: skip"
            )
        if bad.any():
            self.skipped[source] += int(bad.sum())
        return ~bad.to_numpy()


def _shown(cell: object) -> str:
    return repr(cell.to_list() if isinstance(cell, pl.Series) else cell)
