"""Parquet, CSV and Arrow files: their column names, and their rows in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import csv, ipc, parquet

from crosstower.errors import DataError

CHUNK_ROWS = 65_536
CSV_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class FileFormat:
    """How one kind of file is read."""

    read_names: Callable[[Path], list[str]]
    read_frames: Callable[[Path, Sequence[str]], Iterator[pl.DataFrame]]

    def names(self, file: Path) -> list[str]:
        """Return the column names of a file.

        Raises:
            DataError: the file cannot be read.

        """
        try:
            return self.read_names(file)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error

    def frames(self, file: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the given columns of all rows, a chunk at a time; never an empty chunk.

        Raises:
            DataError: the file cannot be read.

        """
        try:
            yield from (f for f in self.read_frames(file, columns) if f.height)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error


def format_of(file: Path) -> FileFormat:
    """Return the format of a file by its suffix.

    Raises:
        DataError: there is no such format.

    """
    if file.suffix not in FORMATS:
        raise DataError(
            f"{file}: unknown kind of file '{file.suffix}'; allowed: {', '.join(FORMATS)}"
        )
    return FORMATS[file.suffix]


def _unreadable(file: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(f"{file}: cannot be read as {file.suffix[1:]}: {reason}; write it again")


def _parquet_names(file: Path) -> list[str]:
    return parquet.read_schema(file).names


def _parquet_frames(file: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    # Without pre-buffering a row group is decoded page by page, so memory stays flat.
    with parquet.ParquetFile(file, pre_buffer=False) as opened:
        for batch in opened.iter_batches(CHUNK_ROWS, columns=list(columns)):
            yield _to_polars(batch, columns)


def _csv_reader(file: Path, names: Sequence[str] = ()) -> Any:
    # Everything is read as text: a guessed type would send long ids through floats.
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        include_columns=list(names),
        strings_can_be_null=True,
        null_values=[""],
    )
    parse = csv.ParseOptions(delimiter="\t" if file.suffix == ".tsv" else ",")
    read = csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    return csv.open_csv(file, read_options=read, parse_options=parse, convert_options=convert)


def _csv_names(file: Path) -> list[str]:
    with _csv_reader(file) as reader:
        return reader.schema.names


def _csv_frames(file: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    with _csv_reader(file, columns) as reader:
        for batch in reader:
            yield _to_polars(batch, columns)


def _arrow_names(file: Path) -> list[str]:
    with pa.memory_map(str(file)) as mapped:
        return ipc.open_file(mapped).schema.names


def _arrow_frames(file: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    with pa.memory_map(str(file)) as mapped:
        reader = ipc.open_file(mapped)
        for i in range(reader.num_record_batches):
            batch = reader.get_batch(i).select(list(columns))
            for start in range(0, batch.num_rows, CHUNK_ROWS):
                yield _to_polars(batch.slice(start, CHUNK_ROWS), columns)


def _to_polars(batch: Any, columns: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(batch)).select(columns)


_ARROW = FileFormat(_arrow_names, _arrow_frames)
_PARQUET = FileFormat(_parquet_names, _parquet_frames)
_CSV = FileFormat(_csv_names, _csv_frames)
FORMATS = {
    ".parquet": _PARQUET,
    ".pq": _PARQUET,
    ".csv": _CSV,
    ".tsv": _CSV,
    ".arrow": _ARROW,
    ".feather": _ARROW,
}
