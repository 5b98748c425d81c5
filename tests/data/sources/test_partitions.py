"""Columns in the names of folders."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources.partitions import partition_of, with_partition

ROOT = Path("rows")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("rows/0.parquet", {}),
        ("rows/day=1/0.parquet", {"day": "1"}),
        ("rows/plain/day=1/0.parquet", {"day": "1"}),
        ("rows/day=__HIVE_DEFAULT_PARTITION__/0.parquet", {"day": None}),
        ("rows/a=1%3D2/0.parquet", {"a": "1=2"}),
        ("rows/=1/0.parquet", {}),
    ],
)
def test_folders_between_root_and_file_are_columns(
    file: str, expected: dict[str, str | None]
) -> None:
    assert partition_of(Path(file), ROOT) == expected
    assert partition_of(Path(file), None) == {}


def test_a_partition_fills_the_columns_that_the_file_lacks() -> None:
    frame = pl.DataFrame({"x": [1, 2], "day": [8, 9]})
    partition = {"day": "1", "city": None, "unused": "u"}
    found = with_partition(frame, partition, ["city", "day", "x"])
    assert found.columns == ["city", "day", "x"]
    assert found["day"].to_list() == [8, 9]
    assert found["city"].to_list() == [None, None]
    assert found["city"].dtype == pl.String
    assert with_partition(frame, {}, ["x"]).columns == ["x"]
