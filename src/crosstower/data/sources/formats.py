"""Parquet, CSV and Arrow files: their column names, and their rows in chunks.

Memory does not grow with the number of rows: a chunk is read, used and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import ipc, parquet

from crosstower.data.sources.csv_files import COMPRESSIONS, CsvFile
from crosstower.data.sources.frames import from_arrow
from crosstower.data.sources.partitions import partition_of, with_partition
from crosstower.errors import DataError, did_you_mean, first_line
from crosstower.recipe.csv import Csv
from crosstower.recipe.own_columns import MARK
from crosstower.values.addresses.address import Address, Place
from crosstower.values.addresses.remote import input_file

CHUNK_ROWS = 65_536
_ARROW_FILE = b"ARROW1"
REQUEST_BYTES = 4 << 20
"""Bytes of a column that one request to a store reads at most."""


@dataclass(frozen=True)
class FileFormat:
    """Readers of one kind of file: its column names, and given columns of its rows in chunks."""

    names: Callable[[Place, Csv], list[str]]
    frames: Callable[[Place, Sequence[str], Csv], Iterator[pl.DataFrame]]


@dataclass(frozen=True)
class DataFile:
    """A file of rows.

    Args:
        path: or address of the file.
        format: that reads it.
        dialect: of CSV files.
        partition: columns that the names of its folders give.

    """

    path: Place
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


def open_file(path: Place, dialect: Csv | None = None, *, root: Place | None = None) -> DataFile:
    """Return a file, read by its suffix in any case; CSV files may be compressed.

    Args:
        path: or address of the file.
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


def suffix_of(file: Place) -> str:
    """Return the name that shows the format: lower case, without the suffix of a compressed CSV.

    >>> from pathlib import Path
    >>> suffix_of(Path("ROWS.CSV.gz"))
    '.csv'
    """
    last = file.suffix.lower()
    inner = PurePath(file.stem).suffix.lower()
    return inner if last in COMPRESSIONS and inner in (".csv", ".tsv") else last


def unreadable(file: Place, error: Exception) -> DataError:
    """Return the error of an unreadable file, with its remedy."""
    reason, kind = first_line(error), suffix_of(file)[1:]
    advice = "write it again"
    if isinstance(file, Address) and isinstance(error, OSError):
        return DataError(
            f"{file}: cannot be read: {reason}; the connection was tried several times: check the"
            " store, the credentials in the environment, and the network"
        )
    if kind in ("csv", "tsv"):
        advice = "repair it, or set data.csv (delimiter, encoding) to how it is written"
    return DataError(f"{file}: cannot be read as {kind}: {reason}; {advice}")


@contextmanager
def parquet_file(file: Place) -> Generator[parquet.ParquetFile]:
    """Open a Parquet file for reading in little memory.

    Without pre-buffering a row group is decoded page by page, so memory stays flat.
    """
    buffer = REQUEST_BYTES if isinstance(file, Address) else 0
    with (
        _opened(file) as source,
        parquet.ParquetFile(source, pre_buffer=False, buffer_size=buffer) as opened,
    ):
        yield opened


def _parquet_names(file: Place, _dialect: Csv) -> list[str]:
    with parquet_file(file) as opened:
        return opened.schema_arrow.names


def _parquet_frames(file: Place, columns: Sequence[str], _dialect: Csv) -> Iterator[pl.DataFrame]:
    with parquet_file(file) as opened:
        for batch in opened.iter_batches(CHUNK_ROWS, columns=list(columns)):
            yield from_arrow(batch)


def _csv_names(file: Place, dialect: Csv) -> list[str]:
    return CsvFile(file, dialect).names()


def _csv_frames(file: Place, columns: Sequence[str], dialect: Csv) -> Iterator[pl.DataFrame]:
    return CsvFile(file, dialect).frames(columns)


def _arrow_names(file: Place, _dialect: Csv) -> list[str]:
    with _opened(file, mapped=True) as source:
        return _arrow_reader(source).schema.names


def _arrow_frames(file: Place, columns: Sequence[str], _dialect: Csv) -> Iterator[pl.DataFrame]:
    with _opened(file, mapped=True) as source:
        names = _arrow_reader(source).schema.names
        options = ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns])
        for batch in _arrow_batches(_arrow_reader(source, options)):
            chosen = batch.select(list(columns))
            for start in range(0, chosen.num_rows, CHUNK_ROWS):
                yield from_arrow(chosen.slice(start, CHUNK_ROWS))


def _arrow_reader(source: Any, options: Any = None) -> Any:
    """Return the reader of an Arrow file, or of an Arrow stream, which has no index of batches."""
    source.seek(0)
    is_file = source.read(len(_ARROW_FILE)) == _ARROW_FILE
    source.seek(0)
    return (ipc.open_file if is_file else ipc.open_stream)(source, options=options)


def _arrow_batches(reader: Any) -> Iterator[Any]:
    if isinstance(reader, ipc.RecordBatchFileReader):
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        yield from reader


def _opened(file: Place, *, mapped: bool = False) -> Any:
    if isinstance(file, Address):
        return input_file(file)
    return pa.memory_map(str(file)) if mapped else pa.OSFile(str(file))


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
