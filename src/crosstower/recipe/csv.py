"""The `data.csv` section of a recipe: how its CSV files are written. No torch."""

from __future__ import annotations

import codecs

from pydantic import Field, field_validator

from crosstower.recipe.frozen import FrozenModel


class Csv(FrozenModel):
    """The dialect of CSV and TSV files; other files are not affected.

    Spaces around cells and column names do not count. Cells are text until the schema says what
    they are.
    """

    delimiter: str | None = Field(
        default=None,
        description="Character between cells. If unset: a tab in .tsv files; elsewhere a comma, or"
        " a semicolon, tab or bar that the first line holds instead.",
    )
    encoding: str | None = Field(
        default=None,
        description="Such as latin-1 or cp1252. If unset: UTF-8, or UTF-16 with its mark.",
    )
    null_values: tuple[str, ...] = Field(
        default=(),
        description="Cells that mean a missing value, in addition to the empty cell: NA, \\N.",
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise ValueError(f"one character such as ';' or '\\t', got {delimiter!r}")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        try:
            return None if encoding is None else codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(
                f"no encoding {encoding!r}; such as utf-8, latin-1, cp1252 or utf-16"
            ) from None
