"""Score a file of raw rows into a Parquet file, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pyarrow import parquet
from rich.console import Console

from crosstower.data.prepare import source_of
from crosstower.data.sources import require_columns
from crosstower.errors import DataError, RunError
from crosstower.files import replacing
from crosstower.run import Run


def predict_file(
    run: Run,
    data: str | Path,
    output: str | Path,
    *,
    columns: Sequence[str] | None = None,
    model: str | None = None,
    seed: int | None = None,
    force: bool = False,
) -> int:
    """Write `columns` (all if None) and a column `TASK__prediction` a task; return the row count.

    Tables that the recipe joins are joined here too. Memory does not grow with the rows; the
    output appears only when it is complete.

    Raises:
        RunError: the output is there already (and not `force`) or cannot be written.
        DataError: the rows lack a column or hold a bad cell.

    """
    output = Path(output)
    if output.exists() and not force:
        raise RunError(f"{output}: is there already; choose another with -o, or give --force")
    source = source_of(run.recipe.data.model_copy(update={"path": str(data)}))
    columns = source.columns() if columns is None else list(columns)
    require_columns(source, columns)
    rows = 0
    try:
        with replacing(output) as aside, Console(stderr=True).status("scoring") as status:
            writer: parquet.ParquetWriter | None = None
            for frame in run.score(source, columns=columns, model=model, seed=seed):
                table = _table(frame, writer)
                writer = writer or parquet.ParquetWriter(aside, table.schema)
                writer.write_table(table)
                rows += frame.height
                status.update(f"scoring: {rows:,} rows")
            if writer is None:
                raise DataError(f"{source.name}: no rows to score")
            writer.close()
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror or error}") from error
    return rows


def _table(frame: pl.DataFrame, writer: parquet.ParquetWriter | None) -> Any:
    table = frame.to_arrow()
    # A chunk whose column is all null would otherwise come with a type of its own.
    return table if writer is None else table.cast(writer.schema)
