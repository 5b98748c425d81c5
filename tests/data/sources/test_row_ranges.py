"""Ranges of rows of one file against slices of the whole."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources import row_ranges
from crosstower.data.sources.formats import open_file
from crosstower.data.sources.row_ranges import RangeSource, rows_in
from crosstower.errors import DataError

ROWS = pl.DataFrame({"id": range(1_000), "text": [f"t{i % 7}" for i in range(1_000)]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "day=1").mkdir()
    ROWS.write_parquet(tmp_path / "day=1" / "rows.parquet", row_group_size=130)
    return tmp_path / "day=1" / "rows.parquet"


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1_000), (0, 1), (129, 131), (130, 260), (255, 777), (999, 1_000)]
)
def test_a_range_is_a_slice(
    path: Path, start: int, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_ranges, "CHUNK_ROWS", 50)
    source = RangeSource(open_file(path, root=path.parents[1]), start, stop)
    chunks = list(source.chunks(["text", "day", "id"]))
    found = pl.concat(chunk.frame for chunk in chunks)
    expected = ROWS[start:stop].with_columns(day=pl.lit("1")).select("text", "day", "id")
    assert found.equals(expected)
    first = [chunk.first_row for chunk in chunks]
    assert first == [int(chunk.frame["id"][0]) for chunk in chunks]
    assert [chunk.index for chunk in chunks] == [row - start for row in first]
    assert source.name == f"{path}, rows {start:,} to {stop - 1:,}"


def test_ranges_cover_a_file_once(path: Path) -> None:
    file = open_file(path)
    assert rows_in(file) == 1_000
    parts = [RangeSource(file, start, min(start + 333, 1_000)) for start in range(0, 1_000, 333)]
    frames = [chunk.frame for part in parts for chunk in part.chunks(["id"])]
    assert pl.concat(frames)["id"].to_list() == list(range(1_000))


def test_a_csv_file_is_read_as_a_whole(tmp_path: Path) -> None:
    ROWS.write_csv(tmp_path / "rows.csv")
    file = open_file(tmp_path / "rows.csv")
    assert rows_in(file) is None
    source = RangeSource(file)
    assert source.columns() == ["id", "text"]
    assert sum(chunk.frame.height for chunk in source.chunks(["id"])) == 1_000


def test_damage_and_missing_columns_are_named(path: Path) -> None:
    with pytest.raises(DataError, match="no column 'txt'; did you mean 'text'"):
        list(RangeSource(open_file(path), 0, 5).chunks(["txt"]))
    content = path.read_bytes()
    cut = open_file(path)
    _ = cut.inside
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[len(content) // 2 + 4 :])
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read as parquet"):
        list(RangeSource(cut, 0, 1_000).chunks(["text"]))
    path.write_bytes(content[:100])
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read as parquet"):
        rows_in(open_file(path))
