"""A calendar column: parts of times in a zone, compared with Python's own calendar."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import RecipeError
from crosstower.recipe.kinds.calendar import Calendar, present_minute
from crosstower.recipe.kinds.kind import readings_of
from crosstower.recipe.schema import Schema
from crosstower.values.codes import MISSING, UNSEEN

PARTS = ["hour", "hour_of_week", "weekday", "day", "month"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
TIMES = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1), timezones=st.just(ZoneInfo("UTC")))


def expected(time: datetime, part: str) -> int:
    """The part of a local time, by its definition."""
    week = time.isoweekday() - 1
    return {
        "hour": time.hour,
        "hour_of_week": 24 * week + time.hour,
        "weekday": week + 1,
        "day": time.day,
        "month": time.month,
    }[part]


@given(st.lists(TIMES, min_size=1, max_size=5), st.sampled_from(PARTS), st.sampled_from(ZONES))
def test_parts_are_those_of_the_local_time(times: list[datetime], part: Any, zone: str) -> None:
    column = Calendar(part=part, timezone=zone)
    local = [expected(time.astimezone(ZoneInfo(zone)), part) for time in times]
    seconds = [int(time.timestamp()) for time in times]
    assert column.clean(pl.Series("t", times)).to_list() == local
    assert column.clean(pl.Series([time.isoformat() for time in times])).to_list() == local
    for unit in (1, 10**3, 10**6, 10**9):
        written = Calendar(part=part, timezone=zone, format={1: "s", 10**9: "ns"}.get(unit))
        counted = pl.Series([second * unit for second in seconds])
        assert written.clean(counted).to_list() == local
        assert written.clean(counted.cast(pl.String)).to_list() == local


@given(TIMES, st.sampled_from(PARTS), st.sampled_from(ZONES))
def test_a_time_of_a_request_has_the_code_of_its_cell(time: datetime, part: Any, zone: str) -> None:
    column = Calendar(part=part, timezone=zone)
    learner = column.learner()
    near = pl.Series([time + timedelta(hours=12 * step) for step in range(9)])
    learner.add(column.reader()(column.clean(near)).values)
    state = learner.finish()
    encode, quick = column.coder(state), column.value_coder(state)
    for one in (time, time + timedelta(hours=3), time.astimezone(ZoneInfo("Asia/Tokyo"))):
        assert quick(one) == encode(column.clean(pl.Series([one])))[0]
    for other in (None, 5, "2026-01-01", time.replace(tzinfo=None), time.date()):
        assert quick(other) is None  # the way of files reads it
    assert encode(pl.Series([None], dtype=pl.Int64))[0] == MISSING
    assert encode(pl.Series([999]))[0] == UNSEEN


def test_units_follow_from_the_size_of_numbers() -> None:
    second = 1_780_000_000
    times = [second * 10**power for power in (0, 3, 6, 9)] + [-(86_400 * 365), 0]
    assert len(set(Calendar(part="hour_of_week").clean(pl.Series(times[:4])).to_list())) == 1
    assert Calendar(part="month").clean(pl.Series(times[4:])).to_list() == [1, 1]
    assert Calendar(part="hour").clean(pl.Series([float("nan"), None, 3_600.5])).to_list() == [
        None,
        None,
        1,
    ]


def test_times_without_a_zone_are_local() -> None:
    berlin = Calendar(part="hour", timezone="Europe/Berlin")
    naive = datetime(2026, 7, 1, 13)
    assert berlin.clean(pl.Series([naive])).to_list() == [13]
    assert berlin.clean(pl.Series(["2026-07-01 13:00", "2026-07-01T13:00Z"])).to_list() == [13, 15]
    assert Calendar(part="day").clean(pl.Series([date(2026, 7, 9)])).to_list() == [9]
    written = Calendar(part="hour", format="%d.%m.%Y %H:%M", timezone="Europe/Berlin")
    assert written.clean(pl.Series(["01.07.2026 13:00", "x"])).to_list() == [13, None]
    assert written.clean(pl.Series([datetime(2026, 7, 1, 13, tzinfo=UTC)])).to_list() == [15]


def test_a_cell_that_is_no_time_is_bad() -> None:
    column = Calendar(part="hour")
    (reading,) = readings_of({"hour": column})
    cells = reading.read(pl.Series("hour", ["2026-01-01", "soon", None]))
    assert cells.bad.to_list() == [False, True, False]
    assert cells.expected == "a time"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "part: missing, and it has no default"),
        ({"part": "minute"}, "part: "),
        ({"part": "hour", "timezone": "Mars/Base"}, "expected a zone such as UTC"),
        ({"part": "hour", "format": "order"}, "numbers that only order the rows are not times"),
        ({"part": "hour", "format": "%H:%M"}, "strftime pattern with year, month and day"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        Calendar(**options)


def test_a_time_that_a_model_reads_otherwise_is_no_time_of_the_row() -> None:
    hour = {"kind": "calendar", "part": "hour", "source": "at"}
    day = {"kind": "calendar", "part": "day", "source": "at"}
    assert Schema(columns={"hour": hour, "day": day}).row_times().keys() == {"at"}
    assert Schema(columns={"hour": hour, "at": "numeric"}).row_times() == {}


def test_the_present_is_a_minute() -> None:
    now = present_minute()
    assert (now.second, now.microsecond, now.tzinfo) == (0, 0, UTC)
    assert timedelta(0) <= datetime.now(UTC) - now < timedelta(minutes=2)


def test_each_cell_is_read_by_itself() -> None:
    cells = ["1700000000000", "soon", "1700000000", "2023-11-14T22:00", "", " 1.7e9 ", None]
    (reading,) = readings_of({"hour": Calendar(part="hour")})
    found = reading.read(pl.Series("hour", cells))
    assert found.values.to_list() == [22, None, 22, 22, None, 22, None]
    assert found.bad.to_list() == [cell == "soon" for cell in cells]
    counted = Calendar(part="hour", format="ms").clean(pl.Series(["1700000000000", "2023-11-14"]))
    assert counted.to_list() == [22, None]  # a unit excludes dates
    assert reading.read(pl.Series("hour", [1.7e9, float("nan"), None])).bad.to_list() == [False] * 3


def test_integers_are_exact() -> None:
    last = 1_699_999_199_999_999_999
    assert Calendar(part="hour").clean(pl.Series([last, last + 1])).to_list() == [21, 22]
    odd = pl.Series([1e300, float("inf"), -1e9])
    assert Calendar(part="hour").clean(odd).to_list() == [None, None, 22]
