"""Mean labels over time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from crosstower.fitting.validation.finding import Finding, LabelsOfPeriod
from crosstower.fitting.validation.seen_rows import SeenRows, times_of
from crosstower.recipe.own_columns import label_name
from crosstower.recipe.tasks import Binary

_PERIODS, _LEAST = 10, 100
_DEVIATIONS, _RATIO = 5.0, 1.5
_BEGIN, _YEARS = datetime(1970, 1, 1, tzinfo=UTC), (1980, 2200)


def periods_of(seen: SeenRows) -> list[LabelsOfPeriod]:
    """Return the mean labels of ten periods with equally many rows; none without times."""
    times = times_of(seen)
    if times is None or len(times) < _PERIODS * _LEAST or not seen.schema.tasks:
        return []
    frame = seen.frame.with_columns(times.alias("time")).sort("time")
    found = list[LabelsOfPeriod]()
    for places in np.array_split(np.arange(frame.height), _PERIODS):
        rows = frame[places]
        means = {task: _mean(rows[label_name(task)]) for task in seen.schema.tasks}
        start = shown_time(int(rows["time"][0]))
        found.append(LabelsOfPeriod(start=start, rows=rows.height, means=means))
    return found


def check_periods(seen: SeenRows, periods: Sequence[LabelsOfPeriod]) -> Iterator[Finding]:
    """Yield the binary tasks whose last period has another rate than those before.

    A rate differs if it is more than 1.5 times as high or low, and by more than five standard
    deviations of a difference of two means.
    """
    for task, kind in seen.schema.tasks.items():
        if not isinstance(kind, Binary) or len(periods) < _PERIODS:
            continue
        *before, last = periods
        known = [(one.rows, mean) for one in before if (mean := one.means[task]) is not None]
        count, newest = sum(rows for rows, _ in known), last.means[task]
        rate = sum(rows * mean for rows, mean in known) / max(count, 1)
        if not count or newest is None or not _differs(rate, count, newest, last.rows):
            continue
        words = f"task '{task}': mean label {newest:.4g} from {last.start} on, and"
        words += f" {rate:.4g} before; labels that are still incomplete look like this"
        yield Finding(check="labels", severity="warning", sentence=words)


def shown_time(time: int) -> str:
    """Return nanoseconds since 1970 as a date and time; numbers that only order rows as they are.

    >>> shown_time(1_700_000_000_000_000_000), shown_time(12)
    ('2023-11-14 22:13', '12')
    """
    try:
        moment = _BEGIN + timedelta(seconds=time / 1e9)
    except OverflowError:
        return str(time)
    return f"{moment:%Y-%m-%d %H:%M}" if _YEARS[0] <= moment.year < _YEARS[1] else str(time)


def _mean(labels: pl.Series) -> float | None:
    known = labels.drop_nulls()
    return float(known.mean()) if len(known) else None  # type: ignore[arg-type]


def _differs(rate: float, count: int, last: float, rows: int) -> bool:
    both = (rate * count + last * rows) / (count + rows)
    spread = math.sqrt(both * (1 - both) * (1 / count + 1 / rows))
    high, low = max(rate, last), min(rate, last)
    return high > _RATIO * low and high - low > _DEVIATIONS * spread
