from datetime import UTC, datetime, timedelta

import pytest

from crosstower.data.sources.table_versions import NEWEST, split_version
from crosstower.errors import DataError


@pytest.mark.parametrize("text", ["table", "s3://lake/t", "a@b/c", "rows@version.parquet", "t@7"])
def test_most_places_have_no_version(text: str) -> None:
    assert split_version(text) == (text, NEWEST)
    assert str(NEWEST) == ""


def test_versions_are_numbers_or_times_in_utc() -> None:
    table, version = split_version("s3://lake/a@b/clicks@v12")
    assert (table, version.number, str(version)) == ("s3://lake/a@b/clicks", 12, "@v12")
    assert split_version("t@v0")[1] != NEWEST
    assert split_version("t@2026-01-31")[1].time == datetime(2026, 1, 31, tzinfo=UTC)
    time = split_version("t@2026-01-31T12:00:00+01:00")[1].time
    assert time is not None
    assert time.utcoffset() == timedelta(hours=1)


def test_a_wrong_time_is_an_error_with_an_example() -> None:
    with pytest.raises(DataError, match="t@2026-13-01: expected a version such as @v3"):
        split_version("t@2026-13-01")
