"""A range of the rows of one file, so that several processes can divide it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from crosstower.data.sources.formats import (
    CHUNK_ROWS,
    Chunk,
    DataFile,
    parquet_file,
    refuse_missing,
    suffix_of,
    unreadable,
)
from crosstower.data.sources.frames import from_arrow
from crosstower.data.sources.partitions import with_partition

_DIVISIBLE = (".parquet", ".pq")


def rows_in(file: DataFile) -> int | None:
    """Return the number of rows of a file that can be divided, None of one that cannot.

    Parquet files can be divided. Of CSV and Arrow files every range would read all rows before it.

    Raises:
        DataError: the file cannot be read.

    """
    if suffix_of(file.path) not in _DIVISIBLE:
        return None
    _ = file.inside  # a file that is damaged is an error that names it
    with parquet_file(file.path) as opened:
        return opened.metadata.num_rows


@dataclass(frozen=True)
class RangeSource:
    """Rows `start` to `stop` (exclusive) of a file, or all of them; they keep their row numbers.

    Args:
        file: to read.
        start: first row.
        stop: row behind the last one; None reads the whole file.

    """

    file: DataFile
    start: int = 0
    stop: int | None = None

    @property
    def name(self) -> str:
        """Name for messages."""
        if self.stop is None:
            return str(self.file.path)
        return f"{self.file.path}, rows {self.start:,} to {self.stop - 1:,}"

    def columns(self) -> list[str]:
        """Return the column names of the file."""
        return list(self.file.columns)

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows of the range.

        Raises:
            DataError: the file lacks a column, or cannot be read.

        """
        refuse_missing(columns, self.file.columns, str(self.file.path))
        first = self.start
        frames = self.file.frames(columns) if self.stop is None else self._frames(columns)
        for frame in frames:
            yield Chunk(frame.select(columns), str(self.file.path), first, first - self.start)
            first += frame.height

    def _frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the range from the row groups that have some of them."""
        own = [name for name in columns if name in self.file.inside] or self.file.inside[:1]
        known = self.file.partition
        try:
            for frame in self._parquet_frames(own):
                yield with_partition(frame, known, columns) if known else frame
        except (pa.ArrowException, OSError) as error:
            raise unreadable(self.file.path, error) from error

    def _parquet_frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        stop = self.stop or 0
        with parquet_file(self.file.path) as opened:
            groups, row = _groups(opened.metadata, self.start, stop)
            for batch in opened.iter_batches(CHUNK_ROWS, row_groups=groups, columns=list(columns)):
                low = max(self.start - row, 0)
                size = min(stop - row, batch.num_rows) - low
                row += batch.num_rows
                if size > 0:
                    yield from_arrow(batch.slice(low, size))


def _groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """Return the row groups of a range, and the number of the first row of the first one."""
    groups, first, row = list[int](), 0, 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row + rows > start and row < stop:
            first = first if groups else row
            groups.append(group)
        row += rows
    return groups, first
