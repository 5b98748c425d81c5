from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.data.times.evidence import Evidence
from crosstower.errors import DataError
from crosstower.recipe.times import TimeFormat

DAY = 86_400 * 10**9
START = datetime(2024, 1, 1)
NS = int(START.replace(tzinfo=UTC).timestamp()) * 10**9


def read(*chunks: Any, **how: Any) -> list[list[int]]:
    """Return what the clock of all chunks makes of each."""
    series = [c if isinstance(c, pl.Series) else pl.Series(c) for c in chunks]
    evidence = Evidence("ts", TimeFormat(**how))
    for place, chunk in enumerate(series):
        evidence.add(chunk, origin=f"{place}.csv", first_row=10 * place)
    clock = evidence.decide()
    return [clock.read(chunk).to_list() for chunk in series]


def test_small_numbers_stay_an_order_whatever_their_type() -> None:
    for values in (["1", "10", "2"], [1, 10, 2], [1.0, 10.0, 2.0], [*map(Decimal, (1, 10, 2))]):
        assert read(values) == [[1, 10, 2]]
    assert read(["9.5", "10.5"], ["9"]) == [[9_500_000_000, 10_500_000_000], [9_000_000_000]]
    assert read([9.5, 10.5], [9]) == read(["9.5", "10.5"], ["9"])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_an_epoch_follows_from_its_size(unit: str) -> None:
    a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    value = NS // 10**9 * a_second
    assert read([value], [str(value)]) == [[NS], [NS]]
    if unit != "ns":  # a float holds no nanoseconds
        assert read([value + 0.5], [f"{value}.5"]) == [[NS + 5 * 10**8 // a_second]] * 2


def test_every_typed_column_text_and_date_of_a_moment_is_the_same() -> None:
    typed = [pl.Series([START]).cast(pl.Datetime(unit)) for unit in ("ms", "us", "ns")]
    found = read(*typed, [date(2024, 1, 1)], ["2024-01-01"], ["2024/1/1 00:00:00.000"])
    assert found == [[NS]] * 6
    zoned = pl.Series([START.replace(tzinfo=UTC)])
    assert read(zoned, ["2024-01-01T02:00:00+02:00"]) == [[NS]] * 2


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([[1_704_067_200], [1_704_067_200_000]], "seconds since 1970 .* and milliseconds since"),
        ([[1, 1_704_067_200]], "seconds since 1970 .* and a number outside of the years"),
        ([[START], [1_704_067_200]], "without a zone .* and seconds .* .1704067200 in row 10 of 1"),
        ([["2024-01-01"], ["7"]], "without a zone .'2024-01-01' in row 0 of 0.csv. and a number"),
        ([["2024-01-01"], ["2024-01-01T00:00:00Z"]], "and a time with a zone .*times.ts.timezone"),
        ([[START], [START.replace(tzinfo=UTC)]], "and a time with a zone"),
    ],
)  # fmt: skip
def test_forms_that_cannot_be_put_in_one_order_are_refused(chunks: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=f"column 'ts': holds .*{words}"):
        read(*chunks)
    with pytest.raises(DataError, match="column 'ts': holds"):
        read(*reversed(chunks), [chunks[0][0]])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1/15/2024", "got '1/15/2024' in row 1 of 0.csv; set .*format to '%m/%d/%Y', or"),
        ("3/4/2024", r"set .*format to '%m/%d/%Y' or '%d/%m/%Y', or write ISO 8601"),
        ("3/4/2024 04:29 PM", r"to '%m/%d/%Y %I:%M %p' or '%d/%m/%Y %I:%M %p', or"),
        ("15.1.24", r"set .*format to '%d.%m.%y', or"),
        ("Jan 15, 2024", r"set .*format to '%b %d, %Y' or"),
        ("2024-Q1", r"to its strftime pattern, such as"),
        ("n/a", "got 'n/a'"),
        ("9999-12-31", "of the years 1678-2261"),
        ("", "got '' in row 1 of 0.csv; fill it in, or set data.on_bad_rows: skip"),
        (None, "got nothing in row 1 of 0.csv; fill it in"),
    ],
)  # fmt: skip
def test_a_value_that_is_no_time_is_refused_by_name(value: str | None, words: str) -> None:
    with pytest.raises(DataError, match=f"column 'ts': expected a time, .*{words}"):
        read(["2024-01-01", value])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e300])
def test_a_number_that_is_no_time_is_refused(value: float | None) -> None:
    with pytest.raises(DataError, match=r"column 'ts': expected a time, got .* in row 1"):
        read([1.0, value])


@pytest.mark.parametrize("value", [[1], True, b"x", time(1), {"a": 1}])
def test_a_type_that_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="column '': expected dates, times, numbers or text, got"):
        read([value])


def test_a_format_settles_what_is_ambiguous() -> None:
    assert read(["1/15/2024"], format="%m/%d/%Y") == [[NS + 14 * DAY]]
    assert read(["20240115"], [20240115], [20240115.0], format="%Y%m%d") == [[NS + 14 * DAY]] * 3
    assert read([0, 1_704_067_200], format="s") == [[0, NS]]
    assert read([0], ["2024-01-01"], [START], format="ms") == [[0], [NS], [NS]]
    assert read([1, 1_704_067_200], format="order") == [[1, 1_704_067_200]]
    assert read([START], ["1/1/2024"], format="%m/%d/%Y") == [[NS], [NS]]
    with pytest.raises(DataError, match=r"in the format of data.times.ts.format, '%m/%d/%Y'"):
        read(["15/1/2024"], format="%m/%d/%Y")
    with pytest.raises(DataError, match="column 'ts': holds"):
        read([1], [START], format="order")


def test_a_zone_settles_local_times() -> None:
    local = ["2024-01-01T01:00:00", "2024-01-01T00:00:00Z"]
    assert read(local, timezone="Europe/Berlin") == [[NS, NS]]
    assert read([datetime(2024, 1, 1, 1)], timezone="Europe/Berlin") == [[NS]]


def test_bad_values_are_counted_where_they_may_be_left_out() -> None:
    evidence = Evidence("ts", strict=False)
    evidence.add(pl.Series(["2024-01-01", "n/a", None, ""]), origin="a", first_row=0)
    assert evidence.bad == 3
    assert evidence.decide().read(pl.Series(["n/a", "2024-01-01"])).to_list() == [None, NS]
    nothing = Evidence("ts", strict=False)
    nothing.add(pl.Series(["1/2/2024", None]), origin="a", first_row=0)
    with pytest.raises(DataError, match="column 'ts': none of its 2 rows holds a time"):
        nothing.decide()


@given(
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), min_size=1, max_size=20),
    st.integers(1, 20),
)
def test_chunks_and_files_never_disagree(moments: list[datetime], cut: int) -> None:
    whole = pl.Series(moments)
    (expected,) = read(whole)
    writings = [
        whole.cast(pl.Datetime("us")),
        whole.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"),
        whole.dt.epoch("us"),
        whole.dt.epoch("us").cast(pl.String),
    ]
    for writing in writings:
        parts = [writing[:cut], writing[cut:]] if cut < len(writing) else [writing]
        assert [t for part in read(*parts) for t in part] == expected
