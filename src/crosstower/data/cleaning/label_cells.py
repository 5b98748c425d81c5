"""The labels of tasks, as numbers, from the cells of their columns."""

from __future__ import annotations

import polars as pl

from crosstower.data.cleaning.cells import Cells, number_cells
from crosstower.recipe.tasks import Binary, Rating, Regression, Task
from crosstower.values.columns import numbers_of, text_of
from crosstower.values.ids import text_of_value
from crosstower.values.lists import none_bad


def label_cells(task: Task, raw: pl.Series) -> Cells:
    """Return the labels of a task as numbers."""
    if isinstance(task, Binary) and task.positive is not None:
        return _positive(raw, task.positive)
    cells = number_cells(raw)
    if isinstance(task, Regression):
        return _regression_label(task, cells)
    if isinstance(task, Rating):
        outside = ~cells.values.is_between(task.low, task.high).fill_null(value=True)
        allowed = f"a rating from {task.low:g} to {task.high:g}"
        return Cells(cells.values, cells.bad | outside, allowed, "set the task's low and high")
    if task.threshold is not None:
        values = (cells.values >= task.threshold).cast(pl.Float64)
        return Cells(values, cells.bad, cells.expected, cells.advice)
    outside = ~cells.values.is_in([0.0, 1.0]).fill_null(value=True)
    advice = "set the task's positive: VALUE or threshold: NUMBER, or declare a regression"
    return Cells(cells.values, cells.bad | outside, "a label of 0 or 1", advice)


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
