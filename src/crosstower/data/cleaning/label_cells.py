"""The labels of tasks, as numbers, from the cells of their columns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import polars as pl

from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.columns import Cells, none_bad, number_cells, numbers_of, text_of
from crosstower.values.ids import text_of_value


def label_reader(task: Task) -> Callable[[pl.Series], Cells]:
    """Return what reads the cells of a label column as numbers."""
    if isinstance(task, Binary) and task.positive is not None:
        return partial(_positive, positive=task.positive)
    return number_cells


def label_cells(task: Task, cells: Cells) -> Cells:
    """Return the labels of a task, from what its `label_reader` gave."""
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
    allowed = "a finite number of at least 0" if task.log1p else cells.expected
    return Cells(values, bad, allowed, "clip the labels, or drop log1p")
