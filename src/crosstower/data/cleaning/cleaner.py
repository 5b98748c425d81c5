"""Check raw cells and bring them to the few types that encoders know.

A cleaned frame has one column per schema column, under its name. The labels, what evaluation needs
as it was, and the row's number in the source stand under the names of
`crosstower.recipe.own_columns`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.cleaning.label_cells import implied_zeros, label_cells, label_reader
from crosstower.data.sources.source import Chunk
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.kinds.kind import Reading
from crosstower.recipe.own_columns import (
    ROW,
    amount_name,
    label_name,
    raw_name,
    time_name,
    truth_name,
)
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Task
from crosstower.values.columns import Cells, number_cells

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
        count, plan = chunk.frame.height, self._plan
        cells = _read(plan.readings, chunk.frame)
        if self.with_labels:
            self._finish_labels(cells, chunk.frame, plan.labels)
        # Series made of arrays: a request's single row is cleaned as often as files are.
        cleaned = [pl.Series(ROW, np.arange(chunk.index, chunk.index + count, dtype=np.int64))]
        keep = np.ones(count, dtype=bool)
        for reading in plan.readings:
            keep &= self._good(cells[reading.name], chunk, reading.source)
            cleaned.append(cells[reading.name].values.alias(reading.name))
        cleaned += [chunk.frame[extra].alias(name) for extra, name in plan.extras]
        frame = pl.DataFrame(cleaned)
        frame.columns = [series.name for series in cleaned]  # a nameless one stays nameless
        return frame if keep.all() else frame.filter(pl.Series(keep))

    @cached_property
    def _plan(self) -> _Plan:
        readings = [r for n, c in self.schema.columns.items() for r in c.readings(n)]
        tasks = self.schema.tasks if self.with_labels else {}
        readings += [r for name, task in tasks.items() for r in _label_readings(name, task)]
        readings += [Reading(amount_name(name), name, _amount_cells) for name in self.amounts]
        readings += [
            Reading(time_name(c.column), c.column, partial(_time_cells, clock=c))
            for c in self.clocks
        ]
        return _Plan(readings, _labels(tasks), [(extra, raw_name(extra)) for extra in self.extras])

    def _finish_labels(
        self, cells: dict[str, Cells], frame: pl.DataFrame, labels: list[_Label]
    ) -> None:
        """Check labels; one that is missing where its event did not happen is 0."""
        for label in labels:
            cells[label.name] = label_cells(label.task, cells[label.name])
        by_task = {label.of: label for label in labels}
        for label in labels:
            if label.needs is None:
                continue
            raw, known = frame[label.source], cells[label.name]
            event = cells[by_task[label.needs].name].values
            values = implied_zeros(label.task, raw, known.values, event)
            cells[label.name] = replace(known, values=values)
            filled = raw.is_null() & values.is_not_null()
            self.implied[label.of, label.needs] += int(filled.sum())

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


@dataclass(frozen=True)
class _Label:
    """The labels of a task: their column in cleaned frames, their source, and what they need."""

    name: str
    source: str
    of: str
    task: Task
    needs: str | None


@dataclass(frozen=True)
class _Plan:
    """How every column is read: made once, used for each chunk.

    A label comes after the one that it needs.
    """

    readings: list[Reading]
    labels: list[_Label]
    extras: list[tuple[str, str]]


def _read(readings: list[Reading], frame: pl.DataFrame) -> dict[str, Cells]:
    """Return the cells of each reading, one after the other."""
    cells: dict[str, Cells] = {}
    for reading in readings:
        given = [cells[name].values for name in reading.values]
        cells[reading.name] = reading.read(*given or [frame[reading.source]])
    return cells


def _labels(tasks: Mapping[str, Task]) -> list[_Label]:
    def depth(name: str) -> int:
        needs = tasks[name].needs
        return 0 if needs is None else 1 + depth(needs)

    return [
        _Label(label_name(name), tasks[name].column or name, name, tasks[name], tasks[name].needs)
        for name in sorted(tasks, key=depth)
    ]


def _label_readings(name: str, task: Task) -> list[Reading]:
    readings = [Reading(label_name(name), task.column or name, label_reader(task))]
    if isinstance(task, Binary) and task.true_probability:
        readings.append(Reading(truth_name(name), task.true_probability, number_cells))
    return readings


def _amount_cells(raw: pl.Series) -> Cells:
    """Return amounts, which must be there and not be negative."""
    cells = number_cells(raw)
    bad = cells.bad | cells.values.is_null() | (cells.values < 0).fill_null(value=False)
    return Cells(cells.values, bad, "an amount of at least 0", "fill it in")


def _time_cells(raw: pl.Series, clock: Clock) -> Cells:
    """Return times, which must be there."""
    times = clock.read(raw)
    return Cells(times, times.is_null(), "a time", "fill it in")


def _shown(cell: object) -> str:
    return repr(cell.to_list() if isinstance(cell, pl.Series) else cell)
