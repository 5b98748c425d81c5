from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from crosstower.data.sources import csv_files
from crosstower.data.sources import formats as file_formats
from crosstower.data.sources.formats import FORMATS, open_file
from crosstower.errors import DataError

FRAME = pl.DataFrame({"id": ["007", "8", None], "n": ["1.5", None, "2"], "other": ["x", "y", "z"]})


def write(path: Path, frame: pl.DataFrame) -> Path:
    match path.suffix:
        case ".parquet" | ".pq":
            frame.write_parquet(path)
        case ".csv":
            frame.write_csv(path)
        case ".tsv":
            frame.write_csv(path, separator="\t")
        case _:
            frame.write_ipc(path)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / f"rows{suffix}", FRAME)
    assert open_file(file).columns == ["id", "n", "other"]
    read = pl.concat(open_file(file).frames(["n", "id"]))
    assert read.equals(FRAME.select("n", "id"))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_large_files_come_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(file_formats, "CHUNK_ROWS", 100)
    file = write(tmp_path / f"rows{suffix}", pl.DataFrame({"i": range(1000)}))
    frames = list(open_file(file).frames(["i"]))
    assert max(f.height for f in frames) <= 100
    assert pl.concat(frames)["i"].to_list() == list(range(1000))


def test_a_large_csv_comes_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "BLOCK_BYTES", 1000)
    file = write(tmp_path / "rows.csv", pl.DataFrame({"i": range(1000)}))
    frames = list(open_file(file).frames(["i"]))
    assert len(frames) > 3
    assert pl.concat(frames)["i"].cast(pl.Int64).to_list() == list(range(1000))


def test_csv_cells_stay_text_so_that_long_ids_keep_their_digits(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("id\n9223372036854775807\n0012\n1e3\n")
    (frame,) = open_file(file).frames(["id"])
    assert frame["id"].to_list() == ["9223372036854775807", "0012", "1e3"]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"rows{suffix}"
    file.write_bytes(b"not what it says")
    with pytest.raises(DataError, match=rf"rows{suffix}: cannot be read as {suffix[1:]}: "):
        list(open_file(file).columns)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.parquet", pl.DataFrame({"i": range(50_000)}))
    data = bytearray(file.read_bytes())
    data[4:40_000] = bytes(39_996)  # the footer is whole, the pages are not
    file.write_bytes(bytes(data))
    assert open_file(file).columns == ["i"]
    with pytest.raises(DataError, match=r"rows\.parquet: cannot be read"):
        list(open_file(file).frames(["i"]))


def test_a_csv_row_with_too_many_cells_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(DataError, match="Expected 2 columns, got 3"):
        list(open_file(file).frames(["a"]))


def test_dictionary_columns_are_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    parquet.write_table(pa.table({"c": column}), file)
    (frame,) = open_file(file).frames(["c"])
    assert frame["c"].cast(pl.String).to_list() == ["a", "b", "a"]


def test_an_unknown_suffix_says_what_is_allowed() -> None:
    with pytest.raises(DataError, match=r"unknown kind of file '\.xlsx'; allowed: \.parquet, "):
        open_file(Path("rows.xlsx"))
