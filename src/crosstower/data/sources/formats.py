"""Parquet, CSV and Arrow files: their column names, and their rows in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import ipc, parquet

from crosstower.data.sources.csv_files import COMPRESSIONS, CsvFile
from crosstower.data.sources.frames import from_arrow
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv

CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class FileFormat:
    """How one kind of file is read; `dialect` is that of CSV files."""

    read_names: Callable[[Path, Csv], list[str]]
    read_frames: Callable[[Path, Sequence[str], Csv], Iterator[pl.DataFrame]]
    dialect: Csv = field(default_factory=Csv)

    def names(self, file: Path) -> list[str]:
        """Return the column names of a file.

        Raises:
            DataError: the file cannot be read.

        """
        try:
            return self.read_names(file, self.dialect)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error

    def frames(self, file: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the given columns of all rows, a chunk at a time; never an empty chunk.

        Raises:
            DataError: the file cannot be read.

        """
        try:
            yield from (f for f in self.read_frames(file, columns, self.dialect) if f.height)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error


def format_of(file: Path, dialect: Csv | None = None) -> FileFormat:
    """Return the format of a file by its suffix, in any case; CSV files may be compressed.

    Raises:
        DataError: there is no such format.

    """
    found = FORMATS.get(suffix_of(file))
    if found is None:
        packed = ", ".join(f".csv{end}" for end in COMPRESSIONS)
        raise DataError(
            f"{file}: unknown kind of file '{file.suffix}'; allowed: {', '.join(FORMATS)}, and"
            f" compressed {packed} (.tsv as well)"
        )
    return found if dialect is None else replace(found, dialect=dialect)


def suffix_of(file: Path) -> str:
    """Return what tells the format: lower case, without the ending of a compressed CSV file.

    >>> suffix_of(Path("ROWS.CSV.gz"))
    '.csv'
    """
    last = file.suffix.lower()
    inner = Path(file.stem).suffix.lower()
    return inner if last in COMPRESSIONS and inner in (".csv", ".tsv") else last


def _unreadable(file: Path, error: Exception) -> DataError:
    reason, kind = str(error).splitlines()[0], suffix_of(file)[1:]
    advice = "write it again"
    if kind in ("csv", "tsv"):
        advice = "repair it, or set data.csv (delimiter, encoding) to how it is written"
    return DataError(f"{file}: cannot be read as {kind}: {reason}; {advice}")


def _parquet_names(file: Path, _dialect: Csv) -> list[str]:
    return parquet.read_schema(file).names


def _parquet_frames(file: Path, columns: Sequence[str], _dialect: Csv) -> Iterator[pl.DataFrame]:
    # Without pre-buffering a row group is decoded page by page, so memory stays flat.
    with parquet.ParquetFile(file, pre_buffer=False) as opened:
        for batch in opened.iter_batches(CHUNK_ROWS, columns=list(columns)):
            yield _to_polars(batch, columns)


def _csv_names(file: Path, dialect: Csv) -> list[str]:
    return CsvFile(file, dialect).names()


def _csv_frames(file: Path, columns: Sequence[str], dialect: Csv) -> Iterator[pl.DataFrame]:
    return CsvFile(file, dialect).frames(columns)


def _arrow_names(file: Path, _dialect: Csv) -> list[str]:
    with pa.memory_map(str(file)) as mapped:
        return ipc.open_file(mapped).schema.names


def _arrow_frames(file: Path, columns: Sequence[str], _dialect: Csv) -> Iterator[pl.DataFrame]:
    with pa.memory_map(str(file)) as mapped:
        reader = ipc.open_file(mapped)
        for i in range(reader.num_record_batches):
            batch = reader.get_batch(i).select(list(columns))
            for start in range(0, batch.num_rows, CHUNK_ROWS):
                yield _to_polars(batch.slice(start, CHUNK_ROWS), columns)


def _to_polars(batch: Any, columns: Sequence[str]) -> pl.DataFrame:
    return from_arrow(batch).select(columns)


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
