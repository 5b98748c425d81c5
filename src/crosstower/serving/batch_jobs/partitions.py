"""Partitions of the rows that a batch job reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from crosstower.data.sources.formats import DataFile, FileSource
from crosstower.data.sources.row_ranges import RangeSource, rows_in
from crosstower.data.sources.source import Source
from crosstower.errors import DataError, QueryError
from crosstower.recipe.arguments import count_of
from crosstower.values.addresses.remote import size_and_change


@dataclass(frozen=True)
class Partition:
    """A range of the rows of one file.

    Args:
        number: of the partition, from 0.
        name: file and rows, for messages.
        file: place of the file among those of the source.
        start: first row.
        stop: row behind the last one; None for the whole file.

    """

    number: int
    name: str
    file: int
    start: int = 0
    stop: int | None = None

    @property
    def rows(self) -> int | None:
        """Number of rows, None if it is unknown."""
        return None if self.stop is None else self.stop - self.start


def files_of(source: Source) -> tuple[DataFile, ...]:
    """Return the files of a source.

    Raises:
        DataError: it has none, such as a simulated world.

    """
    if not isinstance(source, FileSource):
        raise DataError(
            f"{source.name}: has no files to divide into partitions; give files, or score it in"
            " one process without --partition-size"
        )
    return source.files


def partitions_of(source: Source, *, size: int) -> list[Partition]:
    """Return the partitions of a source: at most `size` rows of a Parquet file, or a whole file.

    Args:
        source: of files.
        size: largest number of rows.

    Raises:
        QueryError: `size` is below 1.
        DataError: a file cannot be read, or the source has no files.

    """
    count_of("partition size", size, error=QueryError, advice="give the rows of a partition")
    found: list[Partition] = []
    for place, file in enumerate(files_of(source)):
        rows = rows_in(file)
        if rows is None:
            found.append(Partition(len(found), str(file.path), place))
            continue
        for start in range(0, rows, size):
            stop = min(start + size, rows)
            name = RangeSource(file, start, stop).name
            found.append(Partition(len(found), name, place, start, stop))
    return found


def part_of(source: Source, partition: Partition) -> RangeSource:
    """Return the rows of a partition of a source."""
    return RangeSource(files_of(source)[partition.file], partition.start, partition.stop)


def total_rows(partitions: Sequence[Partition]) -> int | None:
    """Return the number of rows of partitions, None if it is unknown.

    >>> total_rows([Partition(0, "a", 0, 0, 5), Partition(1, "a", 0, 5, 7)])
    7
    """
    rows = [partition.rows for partition in partitions]
    known = [count for count in rows if count is not None]
    return sum(known) if len(known) == len(rows) else None


def digest_of(source: Source) -> str:
    """Return a digest of the files of a source, of 16 hexadecimal digits.

    They depend on the names, sizes and times of change of the files, which takes no reading.
    """
    digest = hashlib.sha256()
    for file in files_of(source):
        size, changed = size_and_change(file.path)
        digest.update(f"{file.path}\0{size}\0{changed}\n".encode())
    return digest.hexdigest()[:16]
