"""The catalogue of a retrieval recipe: ids, raw attributes to filter by, cleaned columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Source, open_source, require_columns
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.recipe.own_columns import raw_name
from crosstower.recipe.schema import Schema
from crosstower.values.arrays import Indices
from crosstower.values.columns import text_of, to_ids
from crosstower.values.lookup import places_of_ids

BadRows = tuple[Literal["error", "skip"], Counter[str]]
"""The recipe's `data.on_bad_rows`, and a counter of skipped rows by column."""
STRICT: BadRows = ("error", Counter())


@dataclass(frozen=True)
class ItemTable:
    """One row per item. `cleaned` has the schema's item columns, `attributes` the raw ones.

    `missing` counts the items without a training row, whose columns are null.
    """

    ids: pl.Series
    attributes: pl.DataFrame
    cleaned: pl.DataFrame
    missing: int = 0

    def __len__(self) -> int:
        """Return N."""
        return len(self.ids)

    def places_of(self, ids: pl.Series) -> Indices:
        """Return the position of each id, -1 if it is not in the table."""
        return places_of_ids(self.ids, ids)


def read_items(
    path: str,
    schema: Schema,
    *,
    item: str,
    dialect: Csv | None = None,
    bad_rows: BadRows = STRICT,
) -> ItemTable:
    """Return the items of a file.

    Args:
        path: a file, folder or glob, with one row per item.
        schema: of the item columns.
        item: the data column of the id.
        dialect: of CSV files.
        bad_rows: how to treat items with a bad cell: error or skip.

    Raises:
        DataError: a column is missing, an id is missing or duplicated, or a cell is wrong.

    """
    source = open_source(path, dialect)
    require_columns(source, [item, *schema.sources()])
    return items_of(source, schema, item=item, columns=source.columns(), bad_rows=bad_rows)


def items_of(
    source: Source,
    schema: Schema,
    *,
    item: str,
    columns: Sequence[str],
    bad_rows: BadRows = STRICT,
) -> ItemTable:
    """Return the items of rows that hold each item once; those with a bad cell may be skipped."""
    rule, skipped = bad_rows
    cleaner = Cleaner(schema, list(columns), on_bad_rows=rule, skipped=skipped)
    frames = [cleaner.clean(chunk) for chunk in source.chunks(cleaner.sources())]
    frame = pl.concat(frames, how="vertical_relaxed")
    ids = to_ids(item, frame[raw_name(item)]).alias(item)
    _check_ids(ids, source.name)
    attributes = pl.DataFrame({c: frame[raw_name(c)] for c in columns})
    return ItemTable(
        ids, attributes, frame.select(n for n, c in schema.columns.items() if c.readings(n))
    )


def last_of_each(frame: pl.DataFrame, item: str) -> pl.DataFrame:
    """Return the last row of each item."""
    ids = text_of(frame[item])
    return frame.filter(ids.is_last_distinct() & ids.is_not_null())


def _check_ids(ids: pl.Series, where: str) -> None:
    if len(ids) == 0:
        raise DataError(f"{where}: no items; a catalogue needs at least one")
    if ids.null_count():
        raise DataError(f"{where}: row {ids.is_null().arg_max()} has no {ids.name}; give every"
                        " item an id")  # fmt: skip
    twice = ids.filter(ids.is_duplicated())
    if len(twice):
        raise DataError(f"{where}: item {twice[0]!r} occurs twice; keep one row per item")
