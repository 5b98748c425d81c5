"""Which rows train, which choose the stopping point, which are touched once at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.hashing import hash_ids, mix, uniform
from crosstower.data.sources import SPLIT_COLUMN, Source
from crosstower.errors import DataError
from crosstower.names import ROW, raw_name
from crosstower.splits import (
    ColumnSplit,
    GivenSplit,
    GroupSplit,
    LeaveLastOutSplit,
    RandomSplit,
    Split,
    TimeSplit,
)

SPLITS = ("train", "valid", "test")
Assignment = NDArray[np.int8]
_SAMPLE = 1_000_000


@dataclass(frozen=True)
class Splitter:
    """Assigns rows to `SPLITS` by position; `columns` are the raw columns it looks at."""

    columns: tuple[str, ...]
    _assign: Callable[[pl.DataFrame], Assignment]

    def assign(self, frame: pl.DataFrame) -> Assignment:
        """Return 0, 1 or 2 for each row of a frame with `ROW` and `raw_name(COLUMN)`."""
        return self._assign(frame)


def fit_splitter(split: Split, source: Source) -> Splitter:
    """Return the splitter of a recipe; splits by time and leave-last-out read `source` once."""
    match split:
        case RandomSplit():
            return Splitter((), lambda f: _cut(uniform(mix(_rows(f), split.seed)), split.fractions))
        case GroupSplit(column=column):
            return Splitter((column,), lambda f: _by_group(f, column, split))
        case ColumnSplit(column=column):
            return Splitter((column,), lambda f: _by_name(f, column))
        case TimeSplit(column=column):
            ends = _time_ends(source, column, split.fractions)
            return Splitter((column,), lambda f: _by_time(f, column, ends))
        case GivenSplit():
            return Splitter((SPLIT_COLUMN,), lambda f: _by_name(f, SPLIT_COLUMN))
        case LeaveLastOutSplit():
            return _leave_last_out(split, source)


def _rows(frame: pl.DataFrame) -> NDArray[np.int64]:
    return frame[ROW].to_numpy()


def _cut(position: NDArray[np.float64], fractions: tuple[float, float, float]) -> Assignment:
    ends = np.cumsum(fractions)[:2]
    return np.searchsorted(ends, position, side="right").astype(np.int8)


def _by_group(frame: pl.DataFrame, column: str, split: GroupSplit) -> Assignment:
    return _cut(uniform(hash_ids(frame[raw_name(column)], split.seed)), split.fractions)


def _by_name(frame: pl.DataFrame, column: str) -> Assignment:
    names = frame[raw_name(column)].cast(pl.String)
    codes = names.replace_strict(list(SPLITS), [0, 1, 2], default=-1, return_dtype=pl.Int8)
    if (codes == -1).any():
        wrong = names.filter(codes == -1)[0]
        raise DataError(
            f"split column '{column}': expected one of {', '.join(SPLITS)}, got {wrong!r}"
        )
    return codes.to_numpy()


def _times(series: pl.Series) -> pl.Series:
    """Return times that compare as times; text of whole numbers (CSV) becomes numbers."""
    if series.null_count():
        raise DataError(
            f"split by time: column '{series.name}' has a row without a time; fill it, or drop"
            " those rows"
        )
    if series.dtype == pl.String:
        numbers = series.cast(pl.Int64, strict=False)
        return series if numbers.null_count() else numbers
    return series.to_physical() if series.dtype.is_temporal() else series


def _time_ends(source: Source, column: str, fractions: tuple[float, float, float]) -> pl.Series:
    random, sample, priority = np.random.default_rng(0), pl.Series(column, []), np.empty(0)
    for chunk in source.chunks([column]):
        times = _times(chunk.frame[column])
        sample = times if len(sample) == 0 else sample.append(times)
        priority = np.concatenate([priority, random.random(len(times))])
        if len(sample) > 2 * _SAMPLE:
            kept = np.argpartition(priority, _SAMPLE)[:_SAMPLE]
            sample, priority = sample.gather(kept), priority[kept]
    ends = (np.cumsum(fractions)[:2] * len(sample)).astype(np.int64)
    return sample.sort().gather(ends.clip(max=len(sample) - 1))


def _by_time(frame: pl.DataFrame, column: str, ends: pl.Series) -> Assignment:
    # Rows of one moment stay together, on the later side: nothing of the future leaks back.
    times = _times(frame[raw_name(column)])
    after = [(times >= end).to_numpy() for end in ends]
    return (after[0].astype(np.int8) + after[1].astype(np.int8)).astype(np.int8)


def _leave_last_out(split: LeaveLastOutSplit, source: Source) -> Splitter:
    last: pl.DataFrame | None = None
    for chunk in source.chunks([split.group, split.time]):
        rows = pl.int_range(chunk.index, chunk.index + chunk.frame.height, eager=True)
        times = _times(chunk.frame[split.time])
        part = pl.DataFrame({"group": chunk.frame[split.group], "time": times, "row": rows})
        part = part if last is None else pl.concat([last, part])
        last = part.sort("time", "row").group_by("group").tail(2)
    if last is None:
        raise DataError(f"{source.name}: no rows")
    order = last.sort("time", "row", descending=True).with_columns(
        place=pl.int_range(pl.len()).over("group")
    )
    test, valid = (order.filter(pl.col("place") == i)["row"].to_numpy() for i in (0, 1))

    def assign(frame: pl.DataFrame) -> Assignment:
        rows = _rows(frame)
        return np.where(np.isin(rows, test), 2, np.isin(rows, valid)).astype(np.int8)

    return Splitter((), assign)


def select(frame: pl.DataFrame, assignment: Assignment, split: int) -> pl.DataFrame:
    """Return the rows of one split."""
    mask: Any = assignment == split
    return frame.filter(pl.Series(mask))
