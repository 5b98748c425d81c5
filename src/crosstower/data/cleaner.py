"""Check raw cells and bring them to the few types that encoders know.

A cleaned frame has one column per schema column, under its name. The labels, what evaluation needs
as it was, and the row's number in the source stand under the names of
`crosstower.recipe.own_columns`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.sources.source import Chunk
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.kinds.kind import Reading, readings_of
from crosstower.recipe.own_columns import (
    GROUP,
    MARK,
    ROW,
    aged_column,
    amount_name,
    label_name,
    raw_name,
    time_name,
    truth_name,
    weight_name,
)
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.columns import Cells, none_bad, number_cells, numbers_of, text_of
from crosstower.values.ids import text_of_value

OnBadRows = Literal["error", "skip"]
_SHOWN_CELLS = 3
_LARGEST_LABEL = 1e38  # float32 holds it, and float64 its square
_LARGEST_WEIGHT = 1e15  # a gradient times it has a norm in float32


@dataclass
class BadCells:
    """Skipped bad cells of a column: their number, the expected value and the first examples."""

    expected: str
    advice: str
    count: int = 0
    first: list[str] = field(default_factory=list[str])


@dataclass
class Cleaner:
    """Turns chunks of raw rows into cleaned frames, and counts the rows that it leaves out.

    `amounts` are columns that must hold a finite number of at least 0 in every row, such as the
    bid that a blend multiplies with. `clocks` read columns that must hold a time in every row.
    `group` is a column that must hold an id in every row, and `weights` has by task a column that
    must hold a number of at least 0.
    `on_bad_rows`: 'error' stops at the first bad cell, 'skip' drops the row and counts it.
    `bad_cells` are those of rows left out, by column.
    `implied` counts the labels by (task, the task it needs) that are missing and 0. `with_labels`
    False leaves labels out (prediction).
    """

    schema: Schema
    extras: Sequence[str] = ()
    on_bad_rows: OnBadRows = "error"
    with_labels: bool = True
    amounts: Sequence[str] = ()
    clocks: Sequence[Clock] = ()
    group: str | None = None
    weights: Mapping[str, str] = field(default_factory=dict[str, str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    implied: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    bad_cells: dict[str, BadCells] = field(default_factory=dict[str, BadCells])

    def __post_init__(self) -> None:
        """Decide how every column is read."""
        readings = readings_of(self.schema.columns)
        tasks = self.schema.tasks if self.with_labels else {}
        labels, extras = _labels(tasks), [(extra, raw_name(extra)) for extra in self.extras]
        truths = {n: t.true_probability for n, t in tasks.items() if isinstance(t, Binary)}
        readings += [Reading(one.name, one.source, label_reader(one.task)) for one in labels]
        readings += [Reading(truth_name(n), c, number_cells) for n, c in truths.items() if c]
        readings += [Reading(amount_name(name), name, _amount_cells) for name in self.amounts]
        if self.group is not None:
            readings.append(Reading(GROUP, self.group, _group_cells))
        readings += [Reading(weight_name(n), c, _weight_cells) for n, c in self.weights.items()]
        times = {clock: time_name(clock.column) for clock in self.clocks}
        readings += [Reading(n, c.column, partial(_time_cells, clock=c)) for c, n in times.items()]
        self._plan = _Plan(readings, labels, extras)

    def sources(self) -> list[str]:
        """Return the data columns to read, each once."""
        names = [reading.source for reading in self._plan.readings if not reading.values]
        return list(dict.fromkeys([*names, *self.extras]))

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
        keep, bad = np.ones(count, dtype=bool), dict[str, pl.Series]()
        for reading in plan.readings:
            keep &= self._good(cells[reading.name], chunk, reading.source, bad)
            cleaned.append(cells[reading.name].values.alias(reading.name))
        cleaned += [chunk.frame[extra].alias(name) for extra, name in plan.extras]
        frame = pl.DataFrame(cleaned)
        frame.columns = [series.name for series in cleaned]  # a nameless one stays nameless
        return frame if keep.all() else frame.filter(pl.Series(keep))

    def fresh_copy(
        self,
        *,
        on_bad_rows: OnBadRows | None = None,
        skipped: Counter[str] | None = None,
        implied: Counter[tuple[str, str]] | None = None,
    ) -> Cleaner:
        """Return a copy with other counters, empty ones if None."""
        cleaner = copy(self)
        cleaner.on_bad_rows = on_bad_rows or self.on_bad_rows
        cleaner.skipped = Counter() if skipped is None else skipped
        cleaner.bad_cells = {}
        cleaner.implied = Counter() if implied is None else implied
        return cleaner

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

    def _good(
        self, cells: Cells, chunk: Chunk, source: str, noted: dict[str, pl.Series]
    ) -> NDArray[np.bool_]:
        """Return which cells are good; `noted` has the bad ones of each data column so far."""
        bad = cells.bad
        if self.on_bad_rows == "error" and bad.any():
            row = int(bad.arg_max() or 0)
            cell = _shown(chunk.frame[source][row])
            raise DataError(
                f"column '{_shown_column(source)}': expected {cells.expected}, got {cell}"
                f" in row {chunk.first_row + row} of {chunk.origin};"
                f" {cells.advice}, or set data.on_bad_rows: skip"
            )
        if bad.any():
            before = noted.get(source, none_bad(len(bad)))
            new, noted[source] = bad & ~before, bad | before
            if new.any():
                self._note(replace(cells, bad=new), chunk, source)
        return ~bad.to_numpy()

    def _note(self, cells: Cells, chunk: Chunk, source: str) -> None:
        """Count the bad cells of a column, and keep the first."""
        column, count = _shown_column(source), int(cells.bad.sum())
        self.skipped[column] += count
        known = self.bad_cells.setdefault(column, BadCells(cells.expected, cells.advice))
        known.count += count
        for row in cells.bad.arg_true()[: _SHOWN_CELLS - len(known.first)]:
            cell = _shown(chunk.frame[source][row])
            known.first.append(f"row {chunk.first_row + row} of {chunk.origin}: {cell}")


@dataclass(frozen=True)
class _Label:
    """The labels of a task: their column in cleaned frames, their source, and other inputs."""

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
    """Return labels, each after the one that it needs."""
    needs, names = {n: t.needs for n, t in tasks.items()}, {n: label_name(n) for n in tasks}
    order = list[str]()
    while len(order) < len(tasks):  # the schema has refused cycles
        order += [n for n in tasks if n not in order and (needs[n] is None or needs[n] in order)]
    return [_Label(names[n], tasks[n].column or n, n, tasks[n], needs[n]) for n in order]


def label_reader(task: Task) -> Callable[[pl.Series], Cells]:
    """Return the reader of a label column, which turns cells into numbers."""
    if isinstance(task, Binary) and task.positive is not None:
        return partial(_positive, positive=task.positive)
    return number_cells


def label_cells(task: Task, cells: Cells) -> Cells:
    """Return the labels of a task from the numbers of its `label_reader`."""
    if isinstance(task, Regression):
        return _regression_label(task, cells)
    if isinstance(task, Rating):
        outside = ~cells.values.is_between(task.low, task.high).fill_null(value=True)
        allowed = f"a rating from {task.low:g} to {task.high:g}"
        return Cells(cells.values, cells.bad | outside, allowed, "set the task's low and high")
    if task.positive is not None:
        return cells
    if task.threshold is not None:
        values = (cells.values >= task.threshold).cast(pl.Float64)
        return Cells(values, cells.bad, cells.expected, cells.advice)
    outside = ~cells.values.is_in([0.0, 1.0]).fill_null(value=True)
    advice = "set the task's positive: VALUE or threshold: NUMBER, or declare a regression"
    return Cells(cells.values, cells.bad | outside, "a label of 0 or 1", advice)


def implied_zeros(task: Task, raw: pl.Series, labels: pl.Series, event: pl.Series) -> pl.Series:
    """Return labels with those that are missing where their event did not happen as 0.

    Args:
        task: that needs the event.
        raw: `[B]`, its label column.
        labels: `[B]`, its labels.
        event: `[B]`, labels of the task that it needs.

    """
    nothing = (event == 0).fill_null(value=False) & raw.is_null()
    low, high = (task.clip if isinstance(task, Regression) else None) or (0.0, 0.0)
    zero = pl.repeat(min(max(0.0, low), high), len(raw), dtype=pl.Float64, eager=True)
    return zero.zip_with(nothing, labels)


def _positive(raw: pl.Series, positive: bool | float | str) -> Cells:
    """Return 1 where a cell is the positive value, by its text or by its number."""
    wanted = pl.Series([text_of_value(positive)], dtype=pl.String)
    equal = text_of(raw) == wanted[0]
    number = numbers_of(wanted)[0][0]
    if number is not None:
        equal |= (numbers_of(raw)[0] == number).fill_null(value=False)
    return Cells(equal.cast(pl.Float64), none_bad(len(raw)), "a label", "repair it")


def _regression_label(task: Regression, cells: Cells) -> Cells:
    values, bad = cells.values, cells.bad
    if task.clip is not None:
        values = values.clip(*task.clip)
    if task.log1p:
        bad |= (values < 0).fill_null(value=False)
    large = (values.abs() > _LARGEST_LABEL).fill_null(value=False) & ~bad
    if large.any():
        allowed = f"a number from {'0' if task.log1p else f'-{_LARGEST_LABEL:g}'} to"
        advice = "divide the labels, or set the task's clip: [LOW, HIGH]"
        return Cells(values, bad | large, f"{allowed} {_LARGEST_LABEL:g}", advice)
    allowed = "a finite number of at least 0" if task.log1p else cells.expected
    return Cells(values, bad, allowed, "clip the labels, or drop log1p")


def _amount_cells(raw: pl.Series) -> Cells:
    """Return amounts, which must be given and not be negative."""
    cells = number_cells(raw)
    bad = cells.bad | cells.values.is_null() | (cells.values < 0).fill_null(value=False)
    return Cells(cells.values, bad, "an amount of at least 0", "fill it in")


def _weight_cells(raw: pl.Series) -> Cells:
    """Return sample weights, which must be given, not be negative, and keep the loss finite."""
    cells = replace(_amount_cells(raw), expected="a weight of at least 0")
    large = (cells.values > _LARGEST_WEIGHT).fill_null(value=False) & ~cells.bad
    if not large.any():
        return cells
    allowed, advice = f"a weight from 0 to {_LARGEST_WEIGHT:g}", "divide all weights by a number"
    return Cells(cells.values, cells.bad | large, allowed, advice)


def _group_cells(raw: pl.Series) -> Cells:
    """Return the text of each row's group, which must not be missing."""
    found = text_of(raw)
    return Cells(found, found.is_null(), "the id of a group", "fill it in")


def _time_cells(raw: pl.Series, clock: Clock) -> Cells:
    """Return times, which must not be missing."""
    times = clock.read(raw)
    return Cells(times, times.is_null(), "a time", "fill it in")


def _shown_column(source: str) -> str:
    """Return the name of a data column for messages; ages are those of a history."""
    return aged_column(source).removeprefix(MARK)


def _shown(cell: object) -> str:
    return repr(cell.to_list() if isinstance(cell, pl.Series) else cell)
