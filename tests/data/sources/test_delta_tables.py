from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources.delta_tables import open_delta
from crosstower.data.sources.table_versions import TableVersion
from crosstower.errors import DataError


def test_partitions_and_new_columns_are_columns(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    old = pl.DataFrame({"id": [1, 2], "day": ["a", "b"]})
    write_deltalake(str(tmp_path), old.to_arrow(), partition_by=["day"])
    new = pl.DataFrame({"id": [3], "day": ["a"], "x": [0.5]})
    write_deltalake(str(tmp_path), new.to_arrow(), mode="append", schema_mode="merge")
    source = open_delta(tmp_path, TableVersion())
    rows = pl.concat([chunk.frame for chunk in source.chunks(source.columns())])
    wanted = pl.concat([old, new], how="diagonal").sort("id")
    assert rows.select("id", "day", "x").sort("id").equals(wanted)


def test_a_folder_that_is_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: cannot be opened as a Delta table"):
        open_delta(tmp_path, TableVersion())


def test_a_time_before_the_first_version_is_refused(tmp_path: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(tmp_path), pl.DataFrame({"id": [1]}).to_arrow())
    after_first = datetime.now(UTC)
    write_deltalake(str(tmp_path), pl.DataFrame({"id": [2]}).to_arrow(), mode="append")
    source = open_delta(tmp_path, TableVersion(time=after_first))
    assert [row for chunk in source.chunks(["id"]) for row in chunk.frame["id"]] == [1]
    with pytest.raises(DataError, match=r"no such version; the first one is of 20\d\d-.*TABLE@v0"):
        open_delta(tmp_path, TableVersion(time=datetime(2001, 1, 1, tzinfo=UTC)))
