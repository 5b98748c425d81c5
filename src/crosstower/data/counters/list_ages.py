"""Ages of the events of histories that rows have as lists, from lists of their times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from crosstower.data.sources.source import FrameSource, Source
from crosstower.data.times.clock import Clock
from crosstower.data.times.evidence import Evidence
from crosstower.errors import DataError
from crosstower.recipe.event_list import TimedList
from crosstower.recipe.times import ORDER, USUAL, TimeFormat
from crosstower.values.arrays import Indices
from crosstower.values.instants import SECOND
from crosstower.values.lists import id_lists, plain_lists

AHEAD = 60
"""Seconds that the clock of a client may be ahead."""


def list_ages(one: TimedList, frame: pl.DataFrame, clock: Clock, rows: pl.Series) -> pl.Series:
    """Return the seconds from each event to its row, as lists `[B]`.

    An age is null where a time is missing or cannot be read. A list of times that has not one time
    per value becomes a list of one null, which the reader of ages refuses. A blank value is left
    out of a history, so that a list with one has too few values.

    >>> from crosstower.recipe.event_list import TimedList
    >>> frame = pl.DataFrame({"had": [["a", "b"]], "when": [[1_700_000_000, 1_700_000_060]]})
    >>> rows = pl.Series([1_700_000_100 * SECOND])
    >>> list_ages(TimedList("had", "when", "ages"), frame, Clock("when", unit="s"), rows).to_list()
    [[100, 40]]

    Args:
        one: names the columns.
        frame: with both.
        clock: reads the times.
        rows: `[B]`, times of the rows in nanoseconds since 1970; null without one.

    Raises:
        DataError: a column holds neither lists nor text.

    """
    given = plain_lists(frame[one.times], one.separator)
    values, sizes = id_lists(frame[one.column], one.separator)[0], _sizes(given)
    flat = given.explode(empty_as_null=False, keep_nulls=False).alias(one.times)
    owners = np.repeat(np.arange(len(given)), sizes)
    ages = rows.gather(owners) // SECOND - clock.read(flat) // SECOND
    same = _sizes(values) == sizes
    found = _lists(ages.cast(pl.Int64), sizes).alias(one.ages)
    if same.all():
        return found
    nothing = pl.Series([[None]], dtype=pl.List(pl.Int64)).new_from_index(0, len(found))
    return found.zip_with(pl.Series(same), nothing)


def list_moments(one: TimedList, frame: pl.DataFrame, clock: Clock) -> pl.Series:
    """Return lists of times as lists of datetimes, in UTC.

    Args:
        one: names the column.
        frame: `[B]`, with the times.
        clock: reads them.

    Raises:
        DataError: the column holds neither lists nor text.

    """
    given = plain_lists(frame[one.times], one.separator)
    flat = given.explode(empty_as_null=False, keep_nulls=False).alias(one.times)
    moments = clock.read(flat).cast(pl.Datetime("ns", "UTC")).dt.cast_time_unit("us")
    return _lists(moments, _sizes(given)).alias(one.times)


def ages_at(
    lists: Sequence[TimedList],
    frame: pl.DataFrame,
    formats: Mapping[str, TimeFormat],
    now: int,
) -> list[pl.Series]:
    """Return the ages of the events of histories that requests give, as lists `[B]`.

    A time that is up to `AHEAD` after the request is one of now.

    Args:
        lists: of the model. One without times in the frame has null ages: all events are of now.
        frame: `[B]`, raw columns.
        formats: of time columns, `data.times` of the recipe.
        now: the time of the request, in seconds since 1970.

    Raises:
        DataError: a column holds no lists of times.

    """
    found, rows = list[pl.Series](), pl.Series([now * SECOND]).new_from_index(0, frame.height)
    for one in lists:
        if one.column in frame.columns and one.times in frame.columns:
            clock = list_clock(
                FrameSource(frame, "the request"), one, formats.get(one.times, USUAL)
            )
            ages, element = list_ages(one, frame, clock, rows), pl.element()
            ahead = element.is_between(-AHEAD, -1)
            found.append(ages.list.eval(pl.when(ahead).then(0).otherwise(element)))
        else:
            found.append(pl.Series(one.ages, [None] * frame.height, dtype=pl.List(pl.Int64)))
    return found


def list_clock(source: Source, one: TimedList, how: TimeFormat = USUAL) -> Clock:
    """Return the clock that reads the times of all lists of a source.

    Args:
        source: read once, this column only.
        one: names the column.
        how: its format in the recipe.

    Raises:
        DataError: the column holds no lists of times, or numbers that only order the events.

    """
    evidence = Evidence(one.times, how, strict=False)
    for chunk in source.chunks([one.times]):
        lists = plain_lists(chunk.frame[one.times], one.separator)
        flat = lists.explode(empty_as_null=False, keep_nulls=False).alias(one.times)
        if flat.dtype != pl.Null and len(flat):
            evidence.add(flat, origin=chunk.origin, first_row=chunk.first_row)
    if not evidence.first and not evidence.bad:
        return Clock(one.times, how)  # all lists are empty
    clock = evidence.decide()
    if clock.unit == ORDER:
        raise DataError(
            f"column '{one.times}': holds numbers that only order the events of '{one.column}', but"
            f" times are needed; set data.times.{one.times} to their unit (s, ms, us, ns) or their"
            " pattern"
        )
    return clock


def _sizes(lists: pl.Series) -> Indices:
    """Return the number of values of each list, 0 for a null."""
    return lists.list.len().fill_null(0).to_numpy().astype(np.int64)


def _lists(flat: pl.Series, sizes: Indices) -> pl.Series:
    """Return lists of `sizes` `[B]` values each, out of flat ones."""
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int64())
    return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, flat.to_arrow())))
