"""Parquet, CSV and Arrow files: their column names, and their rows in chunks.

Memory does not grow with the number of rows: a chunk is read, used and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import ipc, parquet

from crosstower.data.sources.csv_files import COMPRESSIONS, CsvFile
from crosstower.data.sources.frames import from_arrow
from crosstower.data.sources.partitions import partition_of, with_partition
from crosstower.errors import DataError, did_you_mean
from crosstower.recipe.csv import Csv
from crosstower.recipe.own_columns import MARK

CHUNK_ROWS = 65_536


@dataclass(frozen=True)
class FileFormat:
    """Readers of one kind of file: its column names, and given columns of its rows in chunks."""

    names: Callable[[Path, Csv], list[str]]
    frames: Callable[[Path, Sequence[str], Csv], Iterator[pl.DataFrame]]


@dataclass(frozen=True)
class DataFile:
    """A file of rows.

    Args:
        path: of the file.
        format: that reads it.
        dialect: of CSV files.
        partition: columns that the names of its folders give.

    """

    path: Path
    format: FileFormat
    dialect: Csv
    partition: Mapping[str, str | None]

    @cached_property
    def inside(self) -> list[str]:
        """Names of the columns in the file; DataError if it cannot be read."""
        try:
            return self.format.names(self.path, self.dialect)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.path, error) from error

    @cached_property
    def columns(self) -> list[str]:
        """Names of all columns, those of the file first."""
        return [*self.inside, *(name for name in self.partition if name not in self.inside)]

    def frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the given columns of all rows, a chunk at a time; never an empty chunk.

        Raises:
            DataError: the file cannot be read.

        """
        own = [name for name in columns if name in self.inside] or self.inside[:1]
        try:
            for frame in self.format.frames(self.path, own, self.dialect):
                if not frame.height:
                    continue
                yield with_partition(frame, self.partition, columns) if self.partition else frame
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.path, error) from error


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file or frame.

    `first_row` counts within `origin`, `index` over the whole source; both start at 0.
    """

    frame: pl.DataFrame
    origin: str
    first_row: int
    index: int


@dataclass(frozen=True)
class FileSource:
    """One or several files of the same columns, read one after the other."""

    files: tuple[DataFile, ...]
    name: str

    def columns(self) -> list[str]:
        """Return the column names of the first file."""
        return list(self.files[0].columns)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows of every file in turn."""
        index = 0
        for file in self.files:
            refuse_missing(columns, file.columns, str(file.path))
            first_row = 0
            for frame in file.frames(columns):
                yield Chunk(frame.select(columns), str(file.path), first_row, index)
                first_row += frame.height
                index += frame.height


def refuse_missing(columns: Sequence[str], present: list[str], where: str) -> None:
    """Raise DataError for the first column that is not present.

    Args:
        columns: names needed.
        present: names of the columns.
        where: start of the message, such as the file.

    """
    shown = [name for name in present if not name.startswith(MARK)]
    for name in columns:
        if name not in present:
            raise DataError(
                f"{where}: no column '{name}'{did_you_mean(name, shown)}"
                f" (columns: {', '.join(shown[:20])}{', …' if len(shown) > 20 else ''})"
            )


def open_file(path: Path, dialect: Csv | None = None, *, root: Path | None = None) -> DataFile:
    """Return a file, read by its suffix in any case; CSV files may be compressed.

    Args:
        path: of the file.
        dialect: of CSV files.
        root: folder below which folders called KEY=VALUE give a column KEY (Hive partitions).

    Raises:
        DataError: there is no such format.

    """
    found = FORMATS.get(suffix_of(path))
    if found is None:
        packed = ", ".join(f".csv{end}" for end in COMPRESSIONS)
        raise DataError(
            f"{path}: unknown kind of file '{path.suffix}'; allowed: {', '.join(FORMATS)}, and"
            f" compressed {packed} (.tsv as well)"
        )
    partition = {} if root is None else partition_of(path, root)
    return DataFile(path, found, Csv() if dialect is None else dialect, partition)


def suffix_of(file: Path) -> str:
    """Return what tells the format: lower case, without the ending of a compressed CSV file.

    >>> suffix_of(Path("ROWS.CSV.gz"))
    '.csv'
    """
    last = file.suffix.lower()
    inner = Path(file.stem).suffix.lower()
    return inner if last in COMPRESSIONS and inner in (".csv", ".tsv") else last


def unreadable(file: Path, error: Exception) -> DataError:
    """Return the error of a file that cannot be read, with what to do."""
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
            yield from_arrow(batch)


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
                yield from_arrow(batch.slice(start, CHUNK_ROWS))


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
