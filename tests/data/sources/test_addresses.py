"""Rows at addresses are the rows of the same files on this machine."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.data.sources import formats
from crosstower.data.sources.source import Source, open_source
from crosstower.errors import DataError
from crosstower.values.addresses.address import place_of
from crosstower.values.addresses.remote import upload

from ...fixtures.object_store import SECRET, Proxy

FRAME = pl.DataFrame({"id": ["007", "8", None], "n": ["1.5", None, "2"], "x": ["é", "y", "z"]})


def put(path: Path, address: str) -> None:
    """Copy a file, or all files below a folder."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            rest = "" if path.is_file() else f"/{file.relative_to(path).as_posix()}"
            upload(file, place_of(f"{address}{rest}"))  # type: ignore[arg-type]


def all_rows(source: Source, columns: list[str] | None = None) -> pl.DataFrame:
    names = source.columns() if columns is None else columns
    return pl.concat([chunk.frame for chunk in source.chunks(names)])


def write(frame: pl.DataFrame, path: Path) -> Path:
    import gzip

    if path.suffix == ".gz":
        with gzip.open(path, "wb") as file:
            frame.write_csv(file)
    elif path.suffix == ".csv":
        frame.write_csv(path)
    elif path.suffix == ".arrow":
        frame.write_ipc(path, record_batch_size=2)
    else:
        frame.write_parquet(path, row_group_size=2)
    return path


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.csv.gz", "rows.arrow"])
def test_each_format_gives_the_rows_of_the_file(bucket: str, tmp_path: Path, name: str) -> None:
    path = write(FRAME, tmp_path / name)
    put(path, f"{bucket}/{name}")
    there, here = open_source(f"{bucket}/{name}"), open_source(path)
    assert there.columns() == here.columns()
    assert all_rows(there).equals(all_rows(here))
    assert all_rows(there, ["x", "id"]).equals(all_rows(here, ["x", "id"]))
    first = next(there.chunks(["id"]))
    assert first.origin == f"{bucket}/{name}"


def test_folders_and_patterns_give_the_columns_of_their_partitions(
    bucket: str, tmp_path: Path
) -> None:
    for day, city in ((1, "Oslo"), (2, "New%20York")):
        folder = tmp_path / "rows" / f"day={day}" / f"city={city}"
        folder.mkdir(parents=True)
        write(FRAME.with_columns(day_of=day), folder / "part-0.parquet")
    (tmp_path / "rows" / "_SUCCESS").touch()
    put(tmp_path / "rows", f"{bucket}/rows")
    for pattern in ("rows", "rows/", "rows/day=2/*/*.parquet", "rows/**/part-?.parquet"):
        there, here = open_source(f"{bucket}/{pattern}"), open_source(str(tmp_path / pattern))
        assert there.columns() == here.columns()
        assert all_rows(there).equals(all_rows(here))
    assert set(all_rows(open_source(f"{bucket}/rows"))["city"]) == {"Oslo", "New York"}


def test_what_is_missing_or_empty_is_named(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{bucket}/none: no such file, folder or glob"):
        open_source(f"{bucket}/none")
    with pytest.raises(DataError, match=rf"{bucket}/none\*\.csv: no such file"):
        open_source(f"{bucket}/none*.csv")
    with pytest.raises(DataError, match="s3://no-such-bucket/rows: no such file"):
        open_source("s3://no-such-bucket/rows")
    (tmp_path / "rows.csv").touch()
    put(tmp_path / "rows.csv", f"{bucket}/rows.csv")
    with pytest.raises(DataError, match=rf"{bucket}/rows\.csv: empty file \(0 bytes\)"):
        open_source(f"{bucket}/rows.csv")
    (tmp_path / "rows.csv").write_bytes(b"not parquet")
    put(tmp_path / "rows.csv", f"{bucket}/rows.parquet")
    with pytest.raises(DataError, match=rf"{bucket}/rows\.parquet: cannot be read as parquet"):
        open_source(f"{bucket}/rows.parquet").columns()


def noise(rows: int = 60_000) -> pl.DataFrame:
    random = np.random.default_rng(0)
    return pl.DataFrame({f"c{i}": random.normal(size=rows) for i in range(3)})


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_a_connection_that_breaks_in_the_middle_of_a_file_is_tried_again(
    proxy: Proxy, bucket: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        noise().write_parquet(path, row_group_size=20_000)
    else:
        noise().write_csv(path)
    put(path, f"{bucket}/{name}")
    source = open_source(f"{bucket}/{name}")
    proxy.cut(1, after=100_000)
    assert all_rows(source).equals(all_rows(open_source(path)))
    assert proxy.cuts < 0  # it was cut


def test_a_connection_that_stays_broken_fails_by_name_without_the_secret(
    proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    noise().write_parquet(tmp_path / "rows.parquet", row_group_size=20_000)
    put(tmp_path / "rows.parquet", f"{bucket}/rows.parquet")
    source = open_source(f"{bucket}/rows.parquet")
    proxy.cut(10**6, after=100_000)
    with pytest.raises(DataError, match=rf"{bucket}/rows\.parquet: cannot be read") as caught:
        all_rows(source)
    assert SECRET not in str(caught.value)


def test_the_memory_does_not_grow_with_the_rows(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file of many row groups, one request of a column at a time is held."""
    monkeypatch.setattr(formats, "CHUNK_ROWS", 2_000)
    noise(200_000).write_parquet(tmp_path / "rows.parquet", row_group_size=10_000)
    put(tmp_path / "rows.parquet", f"{bucket}/rows.parquet")
    source, rows, peak = open_source(f"{bucket}/rows.parquet"), 0, 0
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    for chunk in source.chunks(["c0", "c2"]):
        rows += chunk.frame.height
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert rows == 200_000
    assert peak < (tmp_path / "rows.parquet").stat().st_size / 4
