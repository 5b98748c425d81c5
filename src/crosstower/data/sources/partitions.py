"""Columns that the names of folders hold, as Hive and Spark write them: `date=2024-01-31/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import polars as pl

from crosstower.values.addresses.address import Place

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partition_of(file: Place, root: Place | None) -> dict[str, str | None]:
    """Return the columns of a file that the folders between it and `root` hold, as text.

    >>> from pathlib import Path
    >>> partition_of(Path("rows/day=2024-01-31/city=New%20York/0.parquet"), Path("rows"))
    {'day': '2024-01-31', 'city': 'New York'}
    """
    if root is None:
        return {}
    pairs = (part.partition("=") for part in file.parts[len(root.parts) : -1])
    found = {key: unquote(value) for key, mark, value in pairs if key and mark}
    return {key: None if value == _NULL else value for key, value in found.items()}


def with_partition(
    frame: pl.DataFrame, partition: Mapping[str, str | None], columns: Sequence[str]
) -> pl.DataFrame:
    """Return `columns` of a file's rows; a column that the file holds itself is the file's."""
    added = {k: v for k, v in partition.items() if k in columns and k not in frame.columns}
    if not added:
        return frame.select(columns)
    values = [pl.lit(value, pl.String).alias(key) for key, value in added.items()]
    return frame.with_columns(values).select(columns)
