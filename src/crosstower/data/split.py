"""Which rows train, which choose the stopping point, which are touched once at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.sources.source import SPLIT_COLUMN, Source, require_columns
from crosstower.data.times.clock import Clock
from crosstower.data.times.clocks import ClockOf, clocks_of, fit_clock
from crosstower.errors import DataError
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import (
    ColumnSplit,
    GivenSplit,
    GroupSplit,
    LeaveLastOutSplit,
    RandomSplit,
    Split,
    TimeSplit,
)
from crosstower.values.columns import text_of
from crosstower.values.hashing import hash_ids, mix, uniform

SPLITS = ("train", "valid", "test")
HISTORY = "history"
"""Name of the split of rows that only extend the histories of users, for retrieval."""
HISTORY_ROWS = -2
"""Code of that split: before all others, as its rows are."""
Assignment = NDArray[np.int8]
_SAMPLE = 1_000_000


def splits_of(split: Split) -> tuple[str, ...]:
    """Return the splits that need rows: all three, unless nothing is tested."""
    tested = not isinstance(split, GivenSplit) or split.test
    return SPLITS if tested else SPLITS[:2]


@dataclass(frozen=True)
class Others:
    """The rule for rows that a splitter does not divide; `columns` are those it looks at."""

    columns: tuple[str, ...]
    may_train: Callable[[pl.DataFrame], NDArray[np.bool_]]


@dataclass(frozen=True)
class Splitter:
    """Assigns rows to `SPLITS` by position; `columns` are the raw columns it looks at.

    `clocks` read the time columns that it divides by; rows without a time are in no split.
    `others` is for rows that it does not divide, such as negatives in addition to positives.
    """

    columns: tuple[str, ...]
    _assign: Callable[[pl.DataFrame], Assignment]
    clocks: tuple[Clock, ...] = ()
    others: Others | None = None

    def assign(self, frame: pl.DataFrame) -> Assignment:
        """Return 0, 1 or 2 (-1: none) for each row of a frame with `ROW` and `raw_name(COLUMN)`."""
        return self._assign(frame)

    @property
    def other_columns(self) -> tuple[str, ...]:
        """The raw columns that `may_train` looks at."""
        return self.columns if self.others is None else self.others.columns

    def may_train(self, frame: pl.DataFrame) -> NDArray[np.bool_]:
        """Return whether each of the rows that are not divided may be used in training.

        These are the rows of the train split, if a row's own columns tell its split. A random split
        holds out none of them; leave-last-out those that are not before their group's first
        held-out row.
        """
        if self.others is None:
            return self._assign(frame) == SPLITS.index("train")
        return self.others.may_train(frame)


def fit_splitter(
    split: Split, source: Source, clocks: ClockOf | None = None, *, histories: bool = False
) -> Splitter:
    """Return the splitter of a recipe.

    Splits by time and leave-last-out read their columns of `source`; `clocks` gives the clock of
    a time column, by default one for text and numbers in their usual forms. With `histories`, a
    column of splits may also hold `HISTORY`.
    """
    clock_of = clocks or partial(fit_clock, source)
    match split:
        case RandomSplit():
            free = Others((), lambda f: np.ones(f.height, dtype=bool))
            places = partial(_by_chance, split=split)
            return Splitter((), places, others=free)
        case GroupSplit(column=column):
            return Splitter((column,), partial(_by_group, raw=raw_name(column), split=split))
        case ColumnSplit(column=column):
            return Splitter((column,), lambda f: _by_name(f, column, histories=histories))
        case TimeSplit(column=column):
            return _by_time(source, clock_of(column), split)
        case GivenSplit():
            return Splitter((SPLIT_COLUMN,), partial(_given, split=split))
        case LeaveLastOutSplit():
            return _leave_last_out(split, source, clock_of(split.time))


def _rows(frame: pl.DataFrame) -> NDArray[np.int64]:
    return frame[ROW].to_numpy()


def _cut(position: NDArray[np.float64], fractions: tuple[float, float, float]) -> Assignment:
    ends = np.cumsum(fractions)[:2]
    return np.searchsorted(ends, position, side="right").astype(np.int8)


def _by_chance(frame: pl.DataFrame, split: RandomSplit) -> Assignment:
    return _cut(uniform(mix(_rows(frame), split.seed)), split.fractions)


def _by_group(frame: pl.DataFrame, raw: str, split: GroupSplit) -> Assignment:
    return _cut(uniform(hash_ids(text_of(frame[raw]), split.seed)), split.fractions)


def _by_name(frame: pl.DataFrame, column: str, *, histories: bool = False) -> Assignment:
    names = text_of(frame[raw_name(column)])
    known = dict(zip(SPLITS, range(len(SPLITS)), strict=True))
    known |= {HISTORY: HISTORY_ROWS} if histories else {}
    codes = names.replace_strict(known, default=-1, return_dtype=pl.Int8)
    if (codes == -1).any():
        wrong = names.filter(codes == -1)[0]
        raise DataError(
            f"split column '{column}': expected one of {', '.join(known)}, got {wrong!r}"
        )
    return codes.to_numpy()


def _given(frame: pl.DataFrame, split: GivenSplit) -> Assignment:
    codes = _by_name(frame, SPLIT_COLUMN)
    if split.valid_fraction is None:
        return codes
    drawn = uniform(mix(_rows(frame), split.seed)) < split.valid_fraction
    return np.where((codes == 0) & drawn, 1, codes).astype(np.int8)


def _by_time(source: Source, clock: Clock, split: TimeSplit) -> Splitter:
    starts = _given_starts(clock, split) or _starts(source, clock, split.fractions)

    def assign(frame: pl.DataFrame) -> Assignment:
        # Rows of one moment stay together, on the later side: nothing of the future leaks back.
        times = clock.read(frame[raw_name(clock.column)])
        after = [(times >= start).fill_null(value=False).to_numpy() for start in starts]
        places = after[0].astype(np.int8) + after[1].astype(np.int8)
        return np.where(times.is_null().to_numpy(), -1, places).astype(np.int8)

    return Splitter((clock.column,), assign, (clock,))


def _given_starts(clock: Clock, split: TimeSplit) -> tuple[int, int] | None:
    if split.valid_from is None or split.test_from is None:
        return None
    valid = clock.moment(split.valid_from, key="data.split.valid_from")
    test = clock.moment(split.test_from, key="data.split.test_from")
    if valid >= test:
        raise DataError(
            "data.split: valid_from must be before test_from, got"
            f" {split.valid_from!r} and {split.test_from!r}"
        )
    return valid, test


def _starts(source: Source, clock: Clock, fractions: tuple[float, float, float]) -> tuple[int, int]:
    """Return the first times of valid and test by their shares, from a uniform sample."""
    random, sample, priority = np.random.default_rng(0), pl.Series([], dtype=pl.Int64), np.empty(0)
    for chunk in source.chunks([clock.column]):
        times = clock.read(chunk.frame[clock.column]).drop_nulls()
        sample = sample.append(times)
        priority = np.concatenate([priority, random.random(len(times))])
        if len(sample) > 2 * _SAMPLE:
            kept = np.argpartition(priority, _SAMPLE)[:_SAMPLE]
            sample, priority = sample.gather(kept), priority[kept]
    ends = (np.cumsum(fractions)[:2] * len(sample)).astype(np.int64)
    valid, test = sample.sort().gather(ends.clip(max=len(sample) - 1))
    return int(valid), int(test)


def _leave_last_out(split: LeaveLastOutSplit, source: Source, clock: Clock) -> Splitter:
    last: pl.DataFrame | None = None
    for chunk in source.chunks([split.group, split.time]):
        rows = pl.int_range(chunk.index, chunk.index + chunk.frame.height, eager=True)
        groups, times = text_of(chunk.frame[split.group]), clock.read(chunk.frame[split.time])
        part = pl.DataFrame({"group": groups, "time": times, "row": rows}).drop_nulls("time")
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

    held_out = order.filter(pl.col("place") < 2).group_by("group").agg(pl.col("time").min())

    def may_train(frame: pl.DataFrame) -> NDArray[np.bool_]:
        group, time = text_of(frame[raw_name(split.group)]), clock.read(frame[raw_name(split.time)])
        rows = pl.DataFrame({"group": group, "own": time})
        first = rows.join(held_out, on="group", how="left", nulls_equal=True, maintain_order="left")
        earlier = pl.col("time").is_null() | (pl.col("own") < pl.col("time")).fill_null(value=False)
        return first.select(earlier.alias("earlier"))["earlier"].to_numpy()

    return Splitter((), assign, (clock,), Others((split.group, split.time), may_train))


def select(frame: pl.DataFrame, assignment: Assignment, split: int) -> pl.DataFrame:
    """Return the rows of one split."""
    mask: Any = assignment == split
    return frame.filter(pl.Series(mask))


def splitter_of(recipe: Recipe, source: Source, clocks: ClockOf | None = None) -> Splitter:
    """Return the splitter of a recipe's rows; `clocks` are those of `source`, if there are any.

    Raises:
        DataError: a column that it splits by is missing, or a time column is ambiguous.

    """
    split = recipe.data.split.model_dump()
    named = [split[key] for key in ("column", "group", "time") if key in split]
    require_columns(source, named)
    clock_of, histories = clocks or clocks_of(recipe.data, source), recipe.retrieval is not None
    return fit_splitter(recipe.data.split, source, clock_of, histories=histories)


def split_words(split: Split, clocks: Iterable[Clock] = ()) -> str:
    """Return a split as words, such as 'time (column timestamp, fractions 0.8, 0.1, 0.1)'.

    `clocks` add how time columns were read.
    """
    options = split.model_dump(exclude_none=True)
    if isinstance(split, GivenSplit):
        drawn = {"kind", "valid_fraction", "seed"} if split.valid_fraction is not None else {"kind"}
        options = {key: value for key, value in options.items() if key in drawn}
    kind = str(options.pop("kind")).replace("_", " ")
    if "valid_from" in options:
        options.pop("fractions")
    shown = {k: ", ".join(map(str, v)) if isinstance(v, tuple) else v for k, v in options.items()}
    words = [", ".join(f"{k} {v}" for k, v in shown.items()), *(c.words for c in clocks)]
    return f"{kind} ({'; '.join(words)})" if shown else kind
