"""The rules of a bundle: checked when it is made, read when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from crosstower.blending.rules.check import check_rules
from crosstower.errors import BundleError, CrosstowerError, RecipeError
from crosstower.recipe.rules import Rules, load_rules
from crosstower.recipe.schema import Bag, Numeric, Schema, Sequence

FILE = "rules.json"


def given_rules(rules: Rules | str | Path | None) -> Rules | None:
    """Return rules that are given directly or as the path of a file.

    Raises:
        RecipeError: the file is missing or wrong.

    """
    return rules if rules is None or isinstance(rules, Rules) else load_rules(rules)


def write_rules(
    folder: Path, rules: Rules, columns: Mapping[str, pl.DataType], *, vectors: bool
) -> None:
    """Check the rules of a bundle and write them into its folder.

    Args:
        folder: of the bundle.
        rules: of the bundle.
        columns: names and types of the attributes of items.
        vectors: whether the bundle has vectors of items.

    Raises:
        RecipeError: has a line per key that does not fit the items.

    """
    try:
        check_rules(rules, columns, vectors=vectors)
    except CrosstowerError as error:
        raise RecipeError(str(error)) from None
    text = rules.model_dump_json(indent=1, exclude_defaults=True)
    (folder / FILE).write_text(text, encoding="utf-8")


def read_rules(folder: Path) -> Rules:
    """Read the rules of a bundle, none if it has none.

    Raises:
        BundleError: the file is damaged.

    """
    path = folder / FILE
    if not path.is_file():
        return Rules()
    try:
        return load_rules(path)
    except RecipeError as error:
        raise BundleError(f"{error}; make the bundle again") from error


def columns_of_schema(schema: Schema) -> dict[str, pl.DataType]:
    """Return names and types of the columns of rows that a ranker reads, for rules."""
    kinds: dict[str, pl.DataType] = {}
    for name, column in schema.columns.items():
        for source in schema.part([name]).sources():
            kind = pl.Float64() if isinstance(column, Numeric) else pl.String()
            kinds[source] = pl.List(kind) if isinstance(column, Bag | Sequence) else kind
    return kinds
