"""The `data` section of a recipe: where rows come from and how they are divided."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from crosstower.recipe.csv import Csv
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.split import GivenSplit, RandomSplit, Split
from crosstower.recipe.times import TimeFormat

_OTHER_PART = {
    "test": "valid: missing beside data.test; name the rows that choose when to stop, such as a"
    " tenth of the training rows moved to a file of their own",
    "valid": "test: missing beside data.valid; name the rows that are scored at the end",
}


class Join(FrozenModel):
    """A smaller table, one row per key, whose columns are added to the rows."""

    path: str
    on: str = Field(description="Key column, of the same name on both sides.")


class Data(FrozenModel):
    """Where rows come from and how they are split."""

    path: str | None = Field(
        default=None, description="A file, folder or glob (Parquet, CSV, Arrow), or world:NAME."
    )
    valid: str | None = Field(
        default=None,
        description="Validation rows, a file, folder or glob; then `path` holds the training rows.",
    )
    test: str | None = Field(default=None, description="Test rows; goes with `valid`.")
    rows: int | None = Field(default=None, ge=1, description="Rows of a simulated world.")
    seed: int = Field(default=0, ge=0, description="Seed of a simulated world.")
    csv: Csv = Field(default=Csv(), description="How CSV files are written, joined ones as well.")
    joins: tuple[Join, ...] = ()
    split: Split = RandomSplit()
    times: dict[str, TimeFormat] = Field(
        default={},
        description="How time columns are written, by data column: {COLUMN: {format, timezone}}, or"
        " {COLUMN: FORMAT}. Holds wherever the column is used as a time.",
    )
    on_bad_rows: Literal["error", "skip"] = "error"
    memory_mb: int = Field(
        default=1024,
        ge=1,
        description="Encoded rows beyond this go to disk and are read in windows.",
    )

    @model_validator(mode="before")
    @classmethod
    def _given_apart(cls, plain: Any) -> Any:
        if not isinstance(plain, dict):
            return plain
        given = [name for name in ("valid", "test") if plain.get(name) is not None]
        if not given:
            return plain
        if len(given) == 1:
            raise ValueError(_OTHER_PART[given[0]])
        split = plain.get("split")
        kind = split.get("kind") if isinstance(split, dict) else getattr(split, "kind", None)
        if split is not None and kind != "given":
            raise ValueError(
                "split: valid and test name files of their own, so nothing is left to split; drop"
                f" data.split (got kind {kind!r}), or drop data.valid and data.test"
            )
        if str(plain.get("path")).startswith("world:"):
            raise ValueError("valid, test: a simulated world is divided by data.split; drop both")
        named = [str(plain.get(name)) for name in ("path", "valid", "test")]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"path, valid, test: '{twice}' is named twice; rows that train or choose the"
                " stopping point cannot test, name three different files"
            )
        return {**plain, "split": GivenSplit()}
