"""A Parquet file of item vectors, with the weights of the model that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crosstower.errors import DataError, first_line
from crosstower.serving.state.item_log import LARGEST
from crosstower.storage.files import replacing
from crosstower.values.ids import Id, given_id, id_series

ID, VECTOR = "item_id", "vector"
_WEIGHTS = b"crosstower.weights"


@dataclass(frozen=True)
class ItemVectors:
    """Vectors `[n, D]` of items, each id once.

    Args:
        ids: canonical ids.
        vectors: `[n, D]`, of numbers up to `LARGEST`.
        weights: SHA-256 of the retrieval weights of the bundle that they are for.

    """

    ids: list[Id]
    vectors: NDArray[np.float32]
    weights: str


def write_vectors(path: Path, found: ItemVectors) -> None:
    """Write the columns `item_id` and `vector`, and the weights as metadata, whole or not at all.

    Raises:
        DataError: the file cannot be written.

    """
    flat = pa.array(found.vectors.reshape(-1), pa.float32())
    vectors = pa.FixedSizeListArray.from_arrays(flat, found.vectors.shape[1])
    table = pa.table({ID: id_series(found.ids).to_arrow(), VECTOR: vectors})
    table = table.replace_schema_metadata({_WEIGHTS: found.weights.encode()})
    try:
        with replacing(path) as aside:
            pq.write_table(table, aside)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_vectors(path: str | Path, *, weights: str | None = None) -> ItemVectors:
    """Read a file of `write_vectors`, or one with the same columns.

    Args:
        path: of a Parquet file with `item_id` and `vector`, a list of numbers.
        weights: of a file without them.

    Raises:
        DataError: the file is missing or damaged, lacks a column or its weights, an id is empty or
            given twice, or a vector has another width or a number that is too large or not finite.

    """
    path = Path(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read: {first_line(error)}") from error
    for name in (ID, VECTOR):
        if name not in table.column_names:
            columns = ", ".join(table.column_names)
            raise DataError(f"{path}: no column '{name}'; it has: {columns or 'none'}")
    stored = (table.schema.metadata or {}).get(_WEIGHTS, b"").decode()
    chosen = weights or stored
    if not chosen:
        raise DataError(
            f"{path}: does not say which weights its vectors belong to; write it with: crosstower"
            " vectors export RUN --since BUNDLE, or give --weights (see GET /v1/model)"
        )
    ids = [given_id(f"{path}: '{ID}'", value) for value in table[ID].to_pylist()]
    if len(set(ids)) < len(ids):
        raise DataError(f"{path}: '{ID}' has an item twice; keep one vector per item")
    return ItemVectors(ids, _matrix(path, pl.Series(table[VECTOR])), chosen)


def _matrix(path: Path, cells: pl.Series) -> NDArray[np.float32]:
    """Return vectors `[n, D]`."""
    try:
        with np.errstate(over="ignore"):
            rows = [np.asarray(cell, dtype=np.float32) for cell in cells.to_list()]
        found = np.stack(rows) if rows else np.empty((0, 0), np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: '{VECTOR}': expected lists of numbers of the same length ({error})"
        ) from None
    if found.ndim != 2:
        raise DataError(f"{path}: '{VECTOR}': expected lists of numbers, got {cells.dtype}")
    bad = np.flatnonzero(~(np.abs(found) <= LARGEST).all(axis=1))
    if len(bad):
        raise DataError(
            f"{path}: '{VECTOR}': expected numbers from -{LARGEST:g} to {LARGEST:g}, got others in"
            f" row {bad[0]}"
        )
    return found
