"""The `data.csv` section of a recipe: the dialect of its CSV files. No torch."""

from __future__ import annotations

import codecs

from pydantic import Field, field_validator

from crosstower.recipe.frozen import FrozenModel


class Csv(FrozenModel):
    """The dialect of CSV and TSV files; other files are not affected.

    Spaces around cells and column names are ignored. Cells are text until the schema gives them a
    type.
    """

    delimiter: str | None = Field(
        default=None,
        description="Character between cells. Default: a tab in .tsv files; otherwise a comma, or"
        " the semicolon, tab or bar in the first line.",
    )
    encoding: str | None = Field(
        default=None,
        description="Encoding such as latin-1 or cp1252 (default: UTF-8, or UTF-16 with its mark).",
    )
    null_values: tuple[str, ...] = Field(
        default=(),
        description="Cells that mean missing, such as NA or \\N, in addition to empty cells.",
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise ValueError(f"expected one character such as ';' or '\\t', got {delimiter!r}")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str | None) -> str | None:
        try:
            return None if encoding is None else codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(
                f"expected an encoding such as utf-8, latin-1, cp1252 or utf-16, got {encoding!r}"
            ) from None
