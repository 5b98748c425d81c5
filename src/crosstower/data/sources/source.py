"""Where rows come from: files, folders, globs and data frames, read in chunks.

Memory does not grow with the number of rows: a chunk is read, used and dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa

from crosstower.data.filters.filter import filter_columns, parse_filter
from crosstower.data.sources.formats import (
    CHUNK_ROWS,
    Chunk,
    refuse_missing,
)
from crosstower.data.sources.frames import frame_of
from crosstower.data.sources.path_sources import open_place
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.recipe.own_columns import MARK
from crosstower.values.addresses.address import Address

SPLIT_COLUMN = f"{MARK}part"
"""Hidden column of rows that come divided: the split of each. Sources of one part have none."""


class Source(Protocol):
    """Rows that can be read again and again, in the same order."""

    @property
    def name(self) -> str:
        """Name of the source in messages."""
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
        """Name of the source in messages."""
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
        data: a file, a folder, a glob or a Delta, Iceberg or Hugging Face folder, each a path or an
            address such as s3://bucket/rows; or a table in memory.
        dialect: of CSV files.

    Raises:
        DataError: nothing there, nothing readable, no rows, or a column twice.

    """
    if isinstance(data, str | Path | Address):
        source: Source = open_place(str(data), dialect)
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
        raise DataError(f"{where}: column '{twice}' occurs twice; rename or drop one of them")
