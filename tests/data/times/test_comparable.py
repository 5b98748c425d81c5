from datetime import UTC, date, datetime

import polars as pl
import pytest

from crosstower.data.times.comparable import comparable, moment_of

NS = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize("kind", [pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("ns"), pl.Date])
def test_columns_of_every_unit_are_the_same_numbers(kind: pl.DataType) -> None:
    frame = pl.DataFrame({"t": pl.Series([datetime(2024, 3, 1), None]).cast(kind)})
    found = frame.select(comparable(pl.col("t"), frame.schema["t"]))["t"]
    assert found.to_list() == [NS, None]


def test_far_dates_do_not_wrap_around() -> None:
    far = date(9999, 12, 31)
    frame = pl.DataFrame({"t": [far]})
    found = frame.select(comparable(pl.col("t"), frame.schema["t"]))["t"][0]
    assert found == moment_of("9999-12-31")
    assert found // 86_400 // 10**9 == (far - date(1970, 1, 1)).days


@pytest.mark.parametrize("text", ["soon", "", "7", "1/3/2024", "2024-02-30"])
def test_text_that_is_no_time_has_no_moment(text: str) -> None:
    assert moment_of(text) is None
