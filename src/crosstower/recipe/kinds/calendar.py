"""A calendar column: a part of a time, such as the hour of the day, as a category."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import Field

from crosstower.recipe.kinds.categorical import Categorical
from crosstower.recipe.kinds.cell_times import CellTimes, without_blanks
from crosstower.recipe.kinds.registry import register_column
from crosstower.values.codes import Table
from crosstower.values.columns import Cells

Part = Literal["hour", "hour_of_week", "weekday", "day", "month"]


@register_column("calendar")
class Calendar(CellTimes, Categorical):
    """A part of a time, read in a time zone: people book on weekends and order lunch at noon.

    | `part` | values |
    |---|---|
    | `hour` | 0 to 23 |
    | `hour_of_week` | 0 (Monday, midnight) to 167 |
    | `weekday` | 1 (Monday) to 7 |
    | `day` | of the month, 1 to 31 |
    | `month` | 1 to 12 |

    Times are dates, times, ISO 8601 text, or numbers since 1970-01-01 UTC, whose unit follows from
    their size. If the column is the time of the rows, a request without it has its own time.

    >>> times = pl.Series(["2026-11-30T23:30:00Z", "2026-12-05"])
    >>> Calendar(part="hour", timezone="Europe/Berlin").clean(times).to_list()
    [0, 0]
    >>> Calendar(part="weekday").clean(times).to_list()
    [1, 6]

    Args:
        part: of the time.
        format: of numbers or text, if they are written otherwise.
        timezone: zone in which the part is read.

    Raises:
        RecipeError: an argument is wrong; one line per wrong argument.

    """

    kind: Literal["calendar"] = "calendar"  # pyright: ignore[reportIncompatibleVariableOverride]
    part: Part = Field(description="hour, hour_of_week, weekday, day or month.")
    timezone: str | None = Field(
        default=None,
        description="Zone in which the part is read, and zone of times without one, such as"
        " Europe/Berlin (default: UTC).",
    )
    expected: ClassVar[str] = "a time"

    def row_times(self, name: str) -> dict[str, CellTimes]:
        """Return the data column of the time."""
        return dict.fromkeys(self.sources(name), self)

    def clean(self, raw: pl.Series) -> pl.Series:
        """Return the part of each time; null where a cell is none."""
        utc = self.instants(raw).nanoseconds().cast(pl.Datetime("ns", "UTC"))
        local = utc.dt.convert_time_zone(self.timezone or "UTC").dt
        if self.part == "hour_of_week":
            return (local.weekday().cast(pl.Int64) - 1) * 24 + local.hour().cast(pl.Int64)
        parts = {"hour": local.hour, "weekday": local.weekday, "day": local.day}
        return parts.get(self.part, local.month)().cast(pl.Int64)

    def value_coder(self, state: Table) -> Callable[[Any], int | None]:
        """Return a function that looks up the part of one Python time, such as a request's."""
        zone = ZoneInfo(self.timezone or "UTC")

        def code_of(value: Any) -> int | None:
            if type(value) is not datetime or value.tzinfo is None:
                return None  # the way of files reads it
            return state.code_of(_part(value.astimezone(zone), self.part))

        return code_of

    def read(self, raw: pl.Series, name: str, read: Callable[[pl.Series], Cells]) -> Cells:
        """Return the values of `read` for the parts; NaN and blank text are missing times."""
        return super().read(without_blanks(raw), name, read)


def _part(time: datetime, part: Part) -> int:
    """Return the part of a time, as `clean` does."""
    if part == "hour_of_week":
        return time.weekday() * 24 + time.hour
    if part == "weekday":
        return time.isoweekday()
    return {"hour": time.hour, "day": time.day, "month": time.month}[part]


def present_minute() -> datetime:
    """Return the present minute, for a query that gives no time."""
    return datetime.now(UTC).replace(second=0, microsecond=0)
