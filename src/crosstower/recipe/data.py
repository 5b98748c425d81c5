"""The `data` section of a recipe: sources and splits."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from crosstower.recipe.csv import Csv
from crosstower.recipe.events import EventLogs
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.split import VALID_FRACTION, GivenSplit, RandomSplit, Split
from crosstower.recipe.sql import check_query
from crosstower.recipe.times import TimeFormat


class Join(FrozenModel):
    """A table with one row per key, whose columns are added to the rows.

    >>> Join(path="items.parquet", on="item_id").on
    'item_id'
    """

    path: str = Field(description="File, folder or glob of the table.")
    on: str = Field(description="Key column, with the same name in both tables.")


class Data(FrozenModel):
    """Sources of the rows and their split.

    >>> Data(path="clicks.parquet", split={"kind": "time", "column": "time"}).split.kind
    'time'
    """

    path: str | None = Field(
        default=None,
        description="File, folder or glob (Parquet, CSV, Arrow), or Delta, Iceberg or Hugging Face"
        " folder, by path or address; or world:NAME.",
    )
    sql: str | None = Field(
        default=None,
        description="SQL query with ORDER BY that gives the rows, instead of `path`.",
    )
    connection: str | None = Field(
        default=None,
        description="Database of `sql`: duckdb:///FILE or postgresql://USER@HOST/DATABASE.",
    )
    valid: str | None = Field(
        default=None,
        description="Validation rows: file, folder or glob. `path` then has the training rows.",
    )
    test: str | None = Field(
        default=None,
        description="Test rows. `path` then has the training rows; without `valid`, a share of"
        " them is used for validation.",
    )
    rows: int | None = Field(default=None, ge=1, description="Rows of a synthetic dataset.")
    seed: int = Field(default=0, ge=0, description="Seed of a synthetic dataset.")
    csv: Csv = Field(
        default=Csv(), description="Dialect of all CSV files, including joined tables."
    )
    joins: tuple[Join, ...] = Field(default=(), description="Tables whose columns are added.")
    events: EventLogs = Field(
        default=(),
        description="Logs of the events that counters count: a path, `rows` (the rows are the"
        " events), options {path, type, time, columns}, or a list of these.",
    )
    time: str | None = Field(
        default=None,
        description="Column with the time of each row, at which events are counted (default: the"
        " time column of the split).",
    )
    split: Split = Field(
        default=RandomSplit(), description="Division into train, validation and test rows."
    )
    times: dict[str, TimeFormat] = Field(
        default={},
        description="Format of time columns, by data column: {COLUMN: {format, timezone}}, or"
        " {COLUMN: FORMAT}.",
    )
    on_bad_rows: Literal["error", "skip"] = Field(
        default="error", description="Whether rows with a bad cell are an error or are skipped."
    )
    engine: Literal["local", "daft"] = Field(
        default="local",
        description="Encode rows in this process, or piece by piece with Daft (extra daft; rankers"
        " only).",
    )
    runner: Literal["native", "ray"] | None = Field(
        default=None,
        description="Runner of Daft: the cores of this machine, or a Ray cluster (default: that of"
        " Daft's environment).",
    )
    memory_mb: int = Field(
        default=1024,
        ge=1,
        description="Encoded rows beyond this size are stored on disk and read in windows.",
    )

    def at(self, path: str) -> Data:
        """Return the section with other rows: those of a path or an address.

        >>> Data(path="clicks.parquet", seed=1).at("s3://bucket/clicks").path
        's3://bucket/clicks'
        """
        return self.model_copy(update={"path": path, "sql": None, "connection": None})

    @property
    def is_named(self) -> bool:
        """Whether the recipe names its rows, which otherwise are tables in memory."""
        return self.path is not None or self.sql is not None

    @model_validator(mode="after")
    def _runner_of_daft(self) -> Self:
        if self.runner is not None and self.engine != "daft":
            raise ValueError("runner: allowed only with engine: daft; set it, or drop runner")
        return self

    @model_validator(mode="after")
    def _path_or_query(self) -> Self:
        if self.sql is None:
            if self.connection is not None:
                raise ValueError("connection: allowed only with data.sql; add the query")
            return self
        for name in ("path", "valid", "test"):
            if getattr(self, name) is not None:
                raise ValueError(f"sql: not allowed with data.{name}; drop one of them")
        if self.engine == "daft":
            raise ValueError("sql: not allowed with engine: daft, which reads files; drop engine")
        check_query(self.sql, self.connection)
        return self

    @model_validator(mode="before")
    @classmethod
    def _given_apart(cls, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        given = [name for name in ("valid", "test") if plain.get(name) is not None]
        if not given:
            return plain
        split = plain.get("split")
        kind = split.get("kind") if isinstance(split, dict) else getattr(split, "kind", None)
        if split is not None and kind != "given":
            raise ValueError(
                "split: data.valid and data.test name separate files, so there is nothing to split;"
                f" drop data.split (got kind {kind!r}), or drop data.valid and data.test"
            )
        if str(plain.get("path")).startswith("world:"):
            raise ValueError(
                "valid, test: not allowed with a synthetic dataset; drop both and use data.split"
            )
        named = [str(plain[name]) for name in ("path", *given) if plain.get(name) is not None]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"path, valid, test: '{twice}' is repeated; name three different files, as test"
                " rows must not train the model or decide when it stops"
            )
        return {**plain, "split": given_split(split, valid="valid" in given, test="test" in given)}


def given_split(split: Any, *, valid: bool, test: bool) -> dict[str, Any]:
    """Return the split of rows that come divided, as plain data.

    Args:
        split: a section of this kind, with options; anything else is ignored.
        valid: whether validation rows are given; otherwise a share of the training rows validates.
        test: whether test rows are given.

    Raises:
        ValueError: validation rows are given, and a share of the training rows as well.

    """
    given = split.model_dump() if isinstance(split, GivenSplit) else split
    options: dict[str, Any] = given if isinstance(given, dict) else {}
    share = options.get("valid_fraction")
    if valid and share is not None:
        raise ValueError(
            f"split.valid_fraction: {share} is set, but validation rows are given; drop one"
        )
    if not valid and share is None:
        share = VALID_FRACTION
    return {**options, "kind": "given", "valid_fraction": share, "test": test}
