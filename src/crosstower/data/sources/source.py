"""Where rows come from: files, folders, globs and data frames, read in chunks.

Memory does not grow with the number of rows: a chunk is read, used and dropped.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from crosstower.data.filters.filter import filter_columns, parse_filter
from crosstower.data.sources.formats import (
    CHUNK_ROWS,
    FORMATS,
    Chunk,
    FileSource,
    open_file,
    refuse_missing,
    suffix_of,
)
from crosstower.data.sources.frames import frame_of
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.recipe.own_columns import MARK
from crosstower.values.addresses import remote
from crosstower.values.addresses.address import Address, Place, place_of

SPLIT_COLUMN = f"{MARK}part"
"""Hidden column of rows that come divided: the split of each. Sources of one part have none."""


class Source(Protocol):
    """Rows that can be read again and again, in the same order."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def columns(self) -> list[str]:
        """Return the column names."""
        ...

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield all rows, with the given columns only."""
        ...


@dataclass(frozen=True)
class FrameSource:
    """A polars, pandas or Arrow table in memory."""

    frame: pl.DataFrame
    name: str = "data frame"

    def columns(self) -> list[str]:
        """Return the column names."""
        return self.frame.columns

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield slices of the frame."""
        for start in range(0, self.frame.height, CHUNK_ROWS):
            rows = self.frame.select(columns).slice(start, CHUNK_ROWS)
            yield Chunk(rows, self.name, start, start)


@dataclass(frozen=True)
class FilteredSource:
    """The rows of `base` that fulfil a condition; rows are counted among those."""

    base: Source
    where: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.base.name} where {self.where}"

    def columns(self) -> list[str]:
        """Return the column names of the base."""
        return self.base.columns()

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows kept; a missing value fulfils no condition."""
        needed = filter_columns(self.where)
        require_columns(self.base, [*columns, *needed])
        index, first_row = 0, Counter[str]()
        for chunk in self.base.chunks(list(dict.fromkeys([*columns, *needed]))):
            condition = parse_filter(self.where, dict(chunk.frame.schema))
            frame = chunk.frame.filter(condition).select(columns)
            origin = f"{chunk.origin} where {self.where}"
            if frame.height:
                yield Chunk(frame, origin, first_row[origin], index)
            index += frame.height
            first_row[origin] += frame.height


def open_source(data: Any, dialect: Csv | None = None) -> Source:
    """Return a source for files, or for a polars, pandas or Arrow table.

    Args:
        data: a file, a folder or a glob, each a path or an address such as s3://bucket/rows; or a
            table.
        dialect: of CSV files.

    Raises:
        DataError: nothing there, nothing readable, no rows, or a column twice.

    """
    if isinstance(data, str | Path | Address):
        source: Source = _open_place(place_of(data), dialect)
    else:
        source = _open_frame(data)
    _check_unique(source.columns(), source.name)
    return source


def require_columns(source: Source, columns: Sequence[str]) -> None:
    """Raise DataError for the first column that `source` lacks."""
    refuse_missing([c for c in columns if c != SPLIT_COLUMN], source.columns(), source.name)


def _open_frame(data: Any) -> FrameSource:
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    if isinstance(data, pa.Table):
        names = data.column_names
    elif isinstance(data, pl.DataFrame) or hasattr(data, "columns"):
        names = [str(c) for c in data.columns]
    else:
        raise DataError(
            f"expected a path or a polars, pandas or Arrow table, got {type(data).__name__}"
        )
    _check_unique(names, "data frame")
    frame = frame_of(data)
    if frame.height == 0:
        raise DataError("data frame: no rows; give it at least one row")
    return FrameSource(frame)


def _check_unique(names: list[str], where: str) -> None:
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: column '{twice}' is there twice; rename or drop one of them")


def _open_place(place: Place, dialect: Csv | None) -> FileSource:
    try:
        sizes = _expand(place) if isinstance(place, Path) else _expand_address(place)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{place}: cannot be listed: {reason}; check the address, the credentials in the"
            " environment, and the network"
        ) from error
    if not sizes:
        raise DataError(
            f"{place}: no such file, folder or glob; check data.path"
            f" (relative paths start at the recipe's folder; allowed: {', '.join(FORMATS)})"
        )
    root = _root(place, alone=place in sizes)
    files = tuple(open_file(file, dialect, root=root) for file in sorted(sizes))
    for file, size in sizes.items():
        if size == 0:
            raise DataError(f"{file}: empty file (0 bytes); remove it or write it again")
    source = FileSource(files, str(place))
    if next(source.chunks(files[0].columns[:1]), None) is None:
        raise DataError(f"{place}: no rows; the file holds column names only")
    return source


def _expand(path: Path) -> dict[Place, int]:
    """Return the files of a file, a folder or a glob, with their sizes in bytes."""
    if path.is_dir():
        found = [f for f in path.rglob("*") if f.is_file() and suffix_of(f) in FORMATS]
    elif path.is_file():
        found = [path]
    else:
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207
        found = [Path(f) for f in matches if Path(f).is_file()]
    return {file: file.stat().st_size for file in found}


def _expand_address(address: Address) -> dict[Place, int]:
    """Return the files at an address, below a folder or of a glob, with their sizes in bytes."""
    if remote.has_magic(address):
        found = remote.expand(address)
    elif (file := remote.file_at(address)) is not None:
        found = [file]
    else:
        found = [f for f in remote.files_below(address) if suffix_of(f.address) in FORMATS]
    return {file.address: file.size for file in found}


def _root(place: Place, *, alone: bool) -> Place | None:
    """Return the folder below which partitions lie; None of a single file."""
    if alone:
        return None
    if isinstance(place, Address):
        return remote.fixed_part(place)
    if place.is_dir():
        return place
    fixed = takewhile(lambda part: not glob.has_magic(part), place.parts)
    return Path(*fixed)
