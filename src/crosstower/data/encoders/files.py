"""An encoder as files: one JSON document and one Parquet file a vocabulary. No pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, ValidationError

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.numbers import FittedNumber, Standardised
from crosstower.errors import RunError
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.schema import Schema
from crosstower.values.tables import HashBuckets, Table, Vocabulary

FORMAT = 2


class _Table(FrozenModel):
    """Hash buckets, or the file and the number of values of a vocabulary."""

    hash_buckets: int | None = None
    file: str | None = None
    values: int | None = None


class _Document(FrozenModel):
    format: Literal[2] = FORMAT
    schema_: dict[str, Any]
    tables: dict[str, _Table]
    numbers: dict[str, FittedNumber]
    vectors: dict[str, Standardised]
    lengths: dict[str, int]
    label_scales: dict[str, tuple[float, float]]
    otherwise: dict[str, float] = Field(default={})


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write the encoder into `folder`, which is made; the JSON document comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, _Table] = {}
    for place, (name, table) in enumerate(encoder.tables.items()):
        if isinstance(table, HashBuckets):
            tables[name] = _Table(hash_buckets=table.buckets)
        else:
            file = f"vocabulary-{place:03d}.parquet"
            table.values.rename("value").to_frame().write_parquet(folder / file)
            tables[name] = _Table(file=file, values=len(table.values))
    document = _Document(
        schema_=encoder.schema.plain(),
        tables=tables,
        numbers=encoder.numbers,
        vectors=encoder.vectors,
        lengths=encoder.lengths,
        label_scales=encoder.label_scales,
        otherwise=encoder.otherwise,
    )
    (folder / "encoder.json").write_text(document.model_dump_json(indent=1), encoding="utf-8")


def load_encoder(folder: Path) -> Encoder:
    """Read what `save_encoder` wrote.

    Raises:
        RunError: a file is missing, damaged, or of another format.

    """
    path = folder / "encoder.json"
    if not path.is_file():
        raise RunError(f"{path}: no such file; the run is incomplete, train it again")
    try:
        document = _Document.model_validate_json(path.read_bytes())
        schema = Schema.model_validate(document.schema_)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{path}: not an encoder of format {FORMAT}: {place}: {first['msg']}; use the version"
            " of crosstower that wrote it, or train again"
        ) from None
    return Encoder(
        schema,
        {name: _load_table(folder, table) for name, table in document.tables.items()},
        document.numbers,
        document.vectors,
        document.lengths,
        document.label_scales,
        document.otherwise,
    )


def _load_table(folder: Path, table: _Table) -> Table:
    if table.hash_buckets is not None:
        return HashBuckets(table.hash_buckets)
    path = folder / Path(table.file or "").name
    try:
        values = pl.read_parquet(path)["value"]
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: damaged vocabulary: {reason}; train the run again") from error
    if len(values) != table.values or not values.is_sorted():
        raise RunError(
            f"{path}: damaged vocabulary: {len(values):,} values where {table.values:,} sorted"
            " ones were written; train the run again"
        )
    return Vocabulary(values)
