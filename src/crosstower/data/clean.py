"""Check raw cells and bring them to the few types that encoders know.

A cleaned frame has one column per schema column, under its name. The labels, what evaluation needs
as it was, and the row's number in the source stand under the names of `crosstower.names`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.sources import Chunk
from crosstower.errors import DataError
from crosstower.geography import haversine_km
from crosstower.names import (
    ROW,
    amount_name,
    label_name,
    place_name,
    raw_name,
    time_name,
    truth_name,
)
from crosstower.schema import (
    Bag,
    Categorical,
    Column,
    Cross,
    Distance,
    Numeric,
    Schema,
    Text,
    Vector,
)
from crosstower.schema import Sequence as SequenceColumn
from crosstower.tasks import Binary, Rating, Regression, Task
from crosstower.times.clock import Clock

ID_TYPES = (pl.Int64, pl.String)
_AS_TEXT = (
    pl.String, pl.Null, pl.Boolean, pl.Date, pl.Datetime, pl.Time, pl.Categorical, pl.Enum,
)  # fmt: skip


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
    on_bad_rows: Literal["error", "skip"] = "error"
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

    def _cells(self, frame: pl.DataFrame) -> list[tuple[str, str, _Cells]]:
        cells: list[tuple[str, str, _Cells]] = []
        for name, column in self.schema.columns.items():
            if isinstance(column, Distance):
                cells += _distance_cells(name, column, frame)
            elif not isinstance(column, Cross):
                source = column.source or name
                cells.append((name, source, _column_cells(name, column, frame[source])))
        if self.with_labels:
            for name, task in self.schema.tasks.items():
                source = task.column or name
                label = self._label(task, frame[source], frame)
                if task.needs is not None:
                    filled = frame[source].is_null() & label.values.is_not_null()
                    self.implied[name, task.needs] += int(filled.sum())
                cells.append((label_name(name), source, label))
                if isinstance(task, Binary) and task.true_probability:
                    truth = _numbers(frame[task.true_probability])
                    cells.append((truth_name(name), task.true_probability, truth))
        cells += [(amount_name(name), name, _amounts(frame[name])) for name in self.amounts]
        cells += [(time_name(c.column), c.column, _times(c, frame[c.column])) for c in self.clocks]
        return cells

    def _label(self, task: Task, raw: pl.Series, frame: pl.DataFrame) -> _Cells:
        """Return labels; one that is missing where its event did not happen is 0."""
        cells = _label_cells(task, raw)
        if task.needs is None:
            return cells
        event = self.schema.tasks[task.needs]
        happened = self._label(event, frame[event.column or task.needs], frame).values
        nothing = (happened == 0).fill_null(value=False) & raw.is_null()
        low, high = (task.clip if isinstance(task, Regression) else None) or (0.0, 0.0)
        zero = pl.repeat(min(max(0.0, low), high), len(raw), dtype=pl.Float64, eager=True)
        values = zero.zip_with(nothing, cells.values)
        return _Cells(values, cells.bad, cells.expected, cells.advice)

    def _good(self, cells: _Cells, chunk: Chunk, source: str) -> NDArray[np.bool_]:
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
class _Cells:
    values: pl.Series
    bad: pl.Series
    expected: str
    advice: str


def _column_cells(name: str, column: Column, raw: pl.Series) -> _Cells:
    if isinstance(column, Numeric):
        return _numbers(raw)
    if isinstance(column, Vector):
        return _vectors(raw, column.width)
    if isinstance(column, Bag | SequenceColumn):
        return _lists(name, raw, column.separator)
    if isinstance(column, Categorical):
        return _ids(name, raw)
    if isinstance(column, Text):
        return _texts(raw)
    raise TypeError(f"column '{name}' has no cells of its own: {column.kind}")


def _distance_cells(
    name: str, column: Distance, frame: pl.DataFrame
) -> list[tuple[str, str, _Cells]]:
    """Return the four coordinates, checked, and the distance."""
    cells: list[tuple[str, str, _Cells]] = []
    for source, limit in zip((*column.origin, *column.to), (90, 180, 90, 180), strict=True):
        number = _numbers(frame[source])
        outside = (number.values.abs() > limit).fill_null(value=False)
        expected = f"degrees from -{limit} to {limit}"
        advice = "give latitude and longitude in that order"
        checked = _Cells(number.values, number.bad | outside, expected, advice)
        cells.append((place_name(name, len(cells)), source, checked))
    places = [pl.lit(c.values) for _, _, c in cells]
    km = pl.select(haversine_km((places[0], places[1]), (places[2], places[3]))).to_series()
    none_bad = _none_bad(len(km))
    return [*cells, (name, name, _Cells(km, none_bad, "kilometres", "repair it"))]


def _none_bad(rows: int) -> pl.Series:
    return pl.Series(np.zeros(rows, dtype=bool))


def _texts(raw: pl.Series) -> _Cells:
    if raw.dtype.is_nested() or raw.dtype.is_float():
        raise DataError(f"column '{raw.name}': expected text, got {raw.dtype}; declare it numeric,"
                        " a bag or a vector")  # fmt: skip
    none_bad = _none_bad(len(raw))
    return _Cells(raw.cast(pl.String), none_bad, "text", "repair the cell")


def _numbers(raw: pl.Series) -> _Cells:
    if raw.dtype.is_nested():
        raise DataError(f"column '{raw.name}': expected numbers, got {raw.dtype}; declare it a bag,"
                        " a sequence or a vector")  # fmt: skip
    values = raw.cast(pl.Float64, strict=False)
    unreadable = values.is_null() & raw.is_not_null()
    bad = unreadable | ~values.is_finite().fill_null(value=True)
    return _Cells(values, bad, "a finite number", "repair the cell, leave it empty if unknown")


def _amounts(raw: pl.Series) -> _Cells:
    cells = _numbers(raw)
    bad = cells.bad | cells.values.is_null() | (cells.values < 0).fill_null(value=False)
    return _Cells(cells.values, bad, "an amount of at least 0", "fill it in")


def _times(clock: Clock, raw: pl.Series) -> _Cells:
    times = clock.read(raw)
    return _Cells(times, times.is_null(), "a time", "fill it in")


def _ids(name: str, raw: pl.Series) -> _Cells:
    values = to_ids(name, raw)
    bad = _none_bad(len(raw))
    if values.null_count() > raw.null_count():
        bad = values.is_null() & raw.is_not_null()
    advice = "store long ids as text"
    return _Cells(values, bad, "an id that fits in 64 bits with sign", advice)


def to_ids(name: str, raw: pl.Series) -> pl.Series:
    """Return raw ids as Int64 or String; integers beyond int64 become null.

    Raises:
        DataError: the column holds floating-point numbers or something nested.

    """
    if raw.dtype.is_integer():
        return raw.cast(pl.Int64, strict=False)
    if isinstance(raw.dtype, _AS_TEXT):
        return raw.cast(pl.String)
    raise DataError(
        f"column '{name}': ids must be integers or text, got {raw.dtype}; store it as"
        " Int64 or String (ids that pass through floats are silently rounded), or declare the"
        " column numeric"
    )


def _lists(name: str, raw: pl.Series, separator: str | None) -> _Cells:
    if separator is not None and raw.dtype == pl.String:
        raw = raw.str.split(separator).list.eval(pl.element().filter(pl.element() != ""))
    if raw.dtype == pl.Null:  # no row has one
        raw = raw.cast(pl.List(pl.String))
    if not isinstance(raw.dtype, pl.List | pl.Array):
        raise DataError(
            f"column '{name}': expected lists, got {raw.dtype}; store lists, or declare"
            " separator: '|' for text that holds several values"
        )
    lists = raw.cast(pl.List(raw.dtype.inner))  # type: ignore[arg-type]
    flat = lists.explode(empty_as_null=False, keep_nulls=False)
    inner = to_ids(name, flat).dtype
    values = lists.cast(pl.List(inner), strict=False)
    bad = (
        values.list.eval(pl.element().is_null()).list.any()
        != lists.list.eval(pl.element().is_null()).list.any()
    )
    return _Cells(values, bad.fill_null(value=False), "ids that fit in 64 bits", "store text")


def _vectors(raw: pl.Series, width: int) -> _Cells:
    if raw.dtype == pl.Null:
        raw = raw.cast(pl.List(pl.Float64))
    if not isinstance(raw.dtype, pl.List | pl.Array):
        raise DataError(
            f"column '{raw.name}': expected lists of {width} numbers, got {raw.dtype}; store lists"
        )
    values = raw.cast(pl.List(pl.Float64), strict=False)
    finite = values.list.eval(pl.element().is_finite().fill_null(value=False)).list.all()
    bad = (values.list.len() != width) | ~finite
    expected = f"{width} finite numbers"
    return _Cells(values, bad.fill_null(value=False), expected, "set width, repair the cell")


def _label_cells(task: Task, raw: pl.Series) -> _Cells:
    if isinstance(task, Binary) and task.positive is not None:
        return _positive(raw, task.positive)
    cells = _numbers(raw.cast(pl.Int8) if raw.dtype == pl.Boolean else raw)
    if isinstance(task, Regression):
        return _regression_label(task, cells)
    if isinstance(task, Rating):
        outside = ~cells.values.is_between(task.low, task.high).fill_null(value=True)
        allowed = f"a rating from {task.low:g} to {task.high:g}"
        return _Cells(cells.values, cells.bad | outside, allowed, "set the task's low and high")
    if task.threshold is not None:
        values = (cells.values >= task.threshold).cast(pl.Float64)
        return _Cells(values, cells.bad, cells.expected, cells.advice)
    outside = ~cells.values.is_in([0.0, 1.0]).fill_null(value=True)
    advice = "set the task's positive: VALUE or threshold: NUMBER, or declare a regression"
    return _Cells(cells.values, cells.bad | outside, "a label of 0 or 1", advice)


def _positive(raw: pl.Series, positive: str | int) -> _Cells:
    values = (raw.cast(pl.String).str.strip_chars() == str(positive)).cast(pl.Float64)
    return _Cells(values, pl.repeat(False, len(raw), eager=True), "a label", "repair it")


def _regression_label(task: Regression, cells: _Cells) -> _Cells:
    values, bad = cells.values, cells.bad
    if task.clip is not None:
        values = values.clip(*task.clip)
    if task.log1p:
        bad |= (values < 0).fill_null(value=False)
    allowed = "a finite number of at least 0" if task.log1p else cells.expected
    return _Cells(values, bad, allowed, "clip the labels, or drop log1p")


def _shown(cell: object) -> str:
    return repr(cell.to_list() if isinstance(cell, pl.Series) else cell)
