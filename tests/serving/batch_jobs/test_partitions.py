"""Partitions of files."""

import os
from pathlib import Path

import polars as pl
import pytest

from crosstower.data.reading import source_of
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError, QueryError
from crosstower.recipe.recipe import Data
from crosstower.serving.batch_jobs.partitions import (
    Partition,
    digest_of,
    part_of,
    partitions_of,
    total_rows,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows").mkdir()
    pl.DataFrame({"id": range(25)}).write_parquet(tmp_path / "rows" / "a.parquet")
    pl.DataFrame({"id": range(25, 30)}).write_parquet(tmp_path / "rows" / "b.parquet")
    return tmp_path / "rows"


def test_partitions_hold_every_row_once_in_order(folder: Path) -> None:
    source = open_source(folder)
    found = partitions_of(source, size=10)
    assert [(p.number, p.file, p.start, p.stop) for p in found] == [
        (0, 0, 0, 10),
        (1, 0, 10, 20),
        (2, 0, 20, 25),
        (3, 1, 0, 5),
    ]
    assert total_rows(found) == 30
    assert found[1].name == f"{folder / 'a.parquet'}, rows 10 to 19"
    chunks = [chunk for part in found for chunk in part_of(source, part).chunks(["id"])]
    assert [i for chunk in chunks for i in chunk.frame["id"]] == list(range(30))


def test_a_csv_file_is_one_partition(folder: Path) -> None:
    pl.DataFrame({"id": range(30, 60)}).write_csv(folder / "c.csv")
    found = partitions_of(open_source(folder), size=10)
    assert found[-1] == Partition(4, str(folder / "c.csv"), 2)
    assert (found[-1].rows, total_rows(found)) == (None, None)


def test_what_cannot_be_divided_is_named(folder: Path) -> None:
    with pytest.raises(QueryError, match="partition size: expected at least 1, got 0"):
        partitions_of(open_source(folder), size=0)
    world = source_of(Data(path="world:rentals", rows=50))
    with pytest.raises(DataError, match="world:rentals: has no files to divide"):
        partitions_of(world, size=10)


def test_the_digest_changes_with_a_file(folder: Path) -> None:
    before = digest_of(open_source(folder))
    assert before == digest_of(open_source(folder))
    os.utime(folder / "b.parquet", ns=(1, 1))
    touched = digest_of(open_source(folder))
    pl.DataFrame({"id": [1]}).write_parquet(folder / "z.parquet")
    assert len({before, touched, digest_of(open_source(folder))}) == 3
