from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.values.instants import (
    counted_instants,
    formatted_instants,
    iso_instants,
    steps_per_second,
    temporal_instants,
    time_ids,
    time_numbers,
)

MOMENT = 1_705_312_800  # 2024-01-15 10:00:00 UTC
ISO = [
    ("2024-01-15T10:00:00", MOMENT * 10**9, False),
    ("2024-01-15 10:00", MOMENT * 10**9, False),
    ("2024/1/15 10:00:00", MOMENT * 10**9, False),
    ("2024-01-15T10:00:00Z", MOMENT * 10**9, True),
    ("2024-01-15 10:00:00 UTC", MOMENT * 10**9, True),
    ("2024-01-15T12:00:00+02:00", MOMENT * 10**9, True),
    ("2024-01-15T12:00:00+0200", MOMENT * 10**9, True),
    ("2024-01-15T02:00:00-08", MOMENT * 10**9, True),
    ("2024-01-15T10:00:00.25", MOMENT * 10**9 + 250_000_000, False),
    ("2024-01-15T10:00:00,123456789Z", MOMENT * 10**9 + 123_456_789, True),
    ("2024-01-15", (MOMENT - 10 * 3600) * 10**9, False),
    ("1969-12-31T23:59:59.75Z", -250_000_000, True),
]
NONE = ["", "x", "7", "1/15/2024", "2024-02-30", "2024-01-15 24:00", "2024-01-15T10:61",
        "2024-01-15T10:00:00+99:00", "2024-01-15T", "9999-12-31", "٢٠٢٤-01-15"]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "zoned"), ISO)
def test_iso_text_is_a_moment_in_utc(text: str, expected: int, zoned: bool) -> None:
    found = iso_instants(pl.Series([text, None]))
    assert found.nanoseconds().to_list() == [expected, None]
    assert found.zoned[0] == zoned


@pytest.mark.parametrize("text", NONE)
def test_text_that_is_no_moment_of_64_bits_is_null(text: str) -> None:
    assert iso_instants(pl.Series([text])).nanoseconds().to_list() == [None]


def test_values_are_read_one_by_one_however_they_are_mixed() -> None:
    texts = [t for t, _, _ in ISO] + NONE
    together = iso_instants(pl.Series(texts)).nanoseconds().to_list()
    assert together == [iso_instants(pl.Series([t])).nanoseconds()[0] for t in texts]


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)), st.integers(-839, 839))
def test_every_writing_and_unit_of_a_moment_agrees(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=UTC)
    there = aware.astimezone(timezone(timedelta(minutes=minutes)))
    expected = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    texts = pl.Series([moment.isoformat(), moment.isoformat(" "), there.isoformat()])
    assert iso_instants(texts).nanoseconds().to_list() == [expected] * 3
    for unit in ("us", "ns"):
        found = temporal_instants(pl.Series([moment]).cast(pl.Datetime(unit)))
        assert found.nanoseconds().to_list() == [expected]
        assert time_ids(texts).to_list() == time_ids(pl.Series([moment] * 3)).to_list()
        assert time_ids(pl.Series([moment], dtype=pl.Datetime(unit)))[0] == time_ids(texts)[0]
        assert time_numbers(pl.Series([moment], dtype=pl.Datetime(unit)))[0] == pytest.approx(
            expected / 1e9, abs=1e-6
        )


def test_dates_and_zones_of_types_are_moments_in_utc() -> None:
    day = datetime(2024, 1, 15)
    zoned = pl.Series([day]).dt.replace_time_zone("Europe/Berlin")
    assert temporal_instants(zoned).nanoseconds()[0] == (MOMENT - 11 * 3600) * 10**9
    assert temporal_instants(pl.Series([day.date()])).seconds[0] == MOMENT - 10 * 3600
    assert time_ids(pl.Series([day.date()])).to_list() == ["2024-01-15"]
    assert time_ids(pl.Series([day]).cast(pl.Datetime("ms"))).to_list() == ["2024-01-15"]


def test_a_pattern_reads_other_orders_and_wraps_nothing_around() -> None:
    found = formatted_instants(pl.Series(["1/15/2024", "31/12/9999", "x", None]), "%m/%d/%Y")
    assert found.nanoseconds().to_list() == [(MOMENT - 10 * 3600) * 10**9, None, None, None]
    far = formatted_instants(pl.Series(["31/12/9999"]), "%d/%m/%Y")
    assert far.nanoseconds().to_list() == [None]
    zoned = formatted_instants(pl.Series(["15.01.2024 12:00 +0200"]), "%d.%m.%Y %H:%M %z")
    assert zoned.nanoseconds()[0] == MOMENT * 10**9
    assert zoned.zoned.to_list() == [True]


def test_local_times_become_moments_by_their_zone() -> None:
    local = ["2024-01-15T11:00:00", "2024-03-31T02:30:00", "2024-10-27T02:30:00"]
    found = iso_instants(pl.Series([*local, "2024-01-15T10:00:00Z"])).in_zone("Europe/Berlin")
    summer = iso_instants(pl.Series(["2024-10-27T00:30:00Z"])).seconds[0]
    assert found.seconds.to_list() == [MOMENT, None, summer, MOMENT]


def test_ids_that_are_no_times_stay_as_they_are() -> None:
    texts = ["blue", "2024-01-15", "2024-1-5 10:00", "2024-99-15 10:00", None, "2024-01-15 10:30"]
    assert time_ids(pl.Series(texts)).to_list() == [*texts[:-1], "2024-01-15T10:30:00"]
    numbers = pl.Series(["a", None], dtype=pl.String)
    assert time_ids(numbers).to_list() == ["a", None]


@given(
    st.integers(10**8, 5 * 10**9), st.integers(0, 999_999_999), st.sampled_from([3, 6, 9]),
)  # fmt: skip
def test_numbers_of_each_unit_are_exact(seconds: int, nanos: int, digits: int) -> None:
    nanos -= nanos % 10 ** (9 - digits)
    number = seconds * 10**digits + nanos // 10 ** (9 - digits)
    for cells in (pl.Series([number]), pl.Series([str(number)])):
        found = counted_instants(cells)
        assert (found.seconds.item(), found.nanos.item()) == (seconds, nanos)
    assert steps_per_second(number) == 10**digits
    assert counted_instants(pl.Series([number]), 10 ** (9 - digits)).nanos.item() == nanos


def test_fractions_of_seconds_and_numbers_that_may_be_years() -> None:
    cells = pl.Series([1_700_000_000.25, -0.5, 999.0, 1000.0, 3000.0, 3001.0, None])
    found = counted_instants(cells)
    assert found.seconds.to_list() == [1_700_000_000, -1, 999, None, None, 3001, None]
    assert found.nanos[:2].to_list() == [250_000_000, 500_000_000]
    assert counted_instants(pl.Series([1995]), 10**9).seconds.to_list() == [1995]
    dates = counted_instants(pl.Series([20_260_131, 19_991_231, 19_000_100])).seconds
    assert dates.to_list() == [None, None, 19_000_100]
