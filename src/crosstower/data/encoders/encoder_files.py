"""An encoder as files: one JSON document and one Parquet file a vocabulary. No pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import Field, ValidationError, model_validator

from crosstower.data.encoders.encoder import Encoder
from crosstower.errors import RunError, first_line
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.kinds.coded import Coded
from crosstower.recipe.schema import Schema
from crosstower.values.codes import HashBuckets, Table, Vocabulary

FORMAT = 3


class _Table(FrozenModel):
    """Hash buckets, or the file and the number of values of a vocabulary."""

    hash_buckets: int | None = None
    file: str | None = None
    values: int | None = None


class _Document(FrozenModel):
    """`states` has the learned state of each column, without its table."""

    format: Literal[3] = FORMAT
    schema_: dict[str, Any]
    tables: dict[str, _Table]
    states: dict[str, Any]
    label_scales: dict[str, tuple[float, float]]
    otherwise: dict[str, float] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _of_format_2(cls, plain: Any) -> Any:
        """Read the files of earlier versions: states by their type, not by column."""
        if not isinstance(plain, dict) or plain.get("format") != 2:
            return plain
        lengths = {name: {"length": length} for name, length in plain.pop("lengths", {}).items()}
        states = plain.pop("numbers", {}) | plain.pop("vectors", {}) | lengths
        return plain | {"format": FORMAT, "states": states}


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write the encoder into `folder`, which is made; the JSON document comes last.

    Raises:
        DataError: an own kind of column learned something else than it declares.

    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, _Table] = {}
    for place, (name, table) in enumerate(encoder.tables.items()):
        if isinstance(table, HashBuckets):
            tables[name] = _Table(hash_buckets=table.buckets)
        else:
            file = f"vocabulary-{place:03d}.parquet"
            table.values.rename("value").to_frame().write_parquet(folder / file)
            tables[name] = _Table(file=file, values=len(table.values))
    columns = encoder.schema.columns
    states = {name: columns[name].plain_state(state) for name, state in encoder.states.items()}
    document = _Document(
        schema_=encoder.schema.plain(),
        tables=tables,
        states={name: plain for name, plain in states.items() if plain is not None},
        label_scales=encoder.label_scales,
        otherwise=encoder.otherwise,
    )
    (folder / "encoder.json").write_text(document.model_dump_json(indent=1), encoding="utf-8")


def load_encoder(folder: Path) -> Encoder:
    """Read the files of `save_encoder`.

    Raises:
        RunError: a file is missing, damaged, or of another format.

    """
    path = folder / "encoder.json"
    if not path.is_file():
        raise RunError(f"{path}: no such file; the run is incomplete, train it again")
    try:
        document = _Document.model_validate_json(path.read_bytes())
        schema = Schema.model_validate(document.schema_)
        tables = {name: _load_table(folder, table) for name, table in document.tables.items()}
        states = _states(schema, document.states, tables, path)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"{path}: not an encoder of format {FORMAT}: {place}: {first['msg']}; use the version"
            " of crosstower that wrote it, or train again"
        ) from None
    return Encoder(schema, states, document.label_scales, document.otherwise)


def _states(
    schema: Schema, plain: Mapping[str, Any], tables: Mapping[str, Table], path: Path
) -> dict[str, Any]:
    """Return the learned state of each column.

    Raises:
        RunError: a column has nothing, though its kind learns something.

    """
    states: dict[str, Any] = {}
    for name, column in schema.columns.items():
        owner = (column.table or name) if isinstance(column, Coded) else name
        if owner != name and owner not in tables:
            raise RunError(f"{path}: damaged: no table of column '{owner}'; train the run again")
        if name in plain or owner in tables:
            states[name] = column.state_from(plain.get(name), tables.get(owner))
        elif isinstance(column, Coded) or column.State is not None:
            raise RunError(f"{path}: damaged: nothing of column '{name}'; train the run again")
    return states


def _load_table(folder: Path, table: _Table) -> Table:
    if table.hash_buckets is not None:
        return HashBuckets(table.hash_buckets)
    path = folder / Path(table.file or "").name
    try:
        values = pl.read_parquet(path)["value"]
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = first_line(error)
        raise RunError(f"{path}: damaged vocabulary: {reason}; train the run again") from error
    if len(values) != table.values or not values.is_sorted():
        raise RunError(
            f"{path}: damaged vocabulary: {len(values):,} values where {table.values:,} sorted"
            " ones were written; train the run again"
        )
    return Vocabulary(values)
