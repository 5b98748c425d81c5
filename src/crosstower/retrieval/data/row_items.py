"""Items of a recipe without an item table: those of its rows, with columns of training rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.filters.filter import filter_columns, parse_filter
from crosstower.data.sources.source import Chunk, FrameSource, Source, require_columns
from crosstower.data.split import Splitter
from crosstower.recipe.own_columns import ROW, raw_name
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.schema import Schema
from crosstower.retrieval.data.items import BadRows, ItemTable, items_of, last_of_each
from crosstower.values.columns import ids_of, settled, to_ids

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingRows:
    """The rows that training may read.

    Among the positives `where` these are the training ones, given by `numbers`. Among other rows
    these are all that the splitter does not hold out.
    """

    numbers: NDArray[np.int64]
    splitter: Splitter
    where: str | None = None

    def columns(self) -> list[str]:
        """Return the columns that are needed."""
        return [*filter_columns(self.where or "True"), *self.splitter.other_columns]

    def among(self, chunk: Chunk, positives: int) -> tuple[Mask, int]:
        """Return whether each row `[R]` may be read, and the number of positives so far.

        Args:
            chunk: rows with `columns`.
            positives: their number before this chunk.

        """
        frame = chunk.frame
        positive = np.ones(frame.height, dtype=bool)
        if self.where is not None:
            condition = parse_filter(self.where, dict(frame.schema)).fill_null(value=False)
            positive = frame.select(condition.alias("fits"))["fits"].to_numpy()
        mask = np.zeros(frame.height, dtype=bool)
        count = int(positive.sum())
        mask[positive] = np.isin(np.arange(positives, positives + count), self.numbers)
        others = frame.filter(pl.Series(~positive))
        raw = [others[name].alias(raw_name(name)) for name in self.splitter.other_columns]
        mask[~positive] = self.splitter.may_train(
            pl.DataFrame([pl.Series(ROW, np.flatnonzero(~positive) + chunk.index), *raw])
        )
        return mask, positives + count


def canonical_ids(name: str, raw: pl.Series, on_bad_rows: str) -> pl.Series:
    """Return canonical ids; null for invalid values, if bad rows are skipped.

    Raises:
        DataError: a value cannot be an id, and bad rows are errors.

    """
    ids = to_ids(name, raw) if on_bad_rows == "error" else settled(ids_of(raw.alias(name)))
    return ids.alias(name)


def items_of_rows(
    source: Source, schema: Schema, section: Retrieval, rows: TrainingRows, bad_rows: BadRows
) -> ItemTable:
    """Return the items of all rows, each with the columns of its last training row.

    Args:
        source: all rows, positives or not.
        schema: of the item columns.
        section: names the item.
        rows: the training rows.
        bad_rows: how to treat items with a bad cell: error or skip.

    Returns:
        `missing` counts the items without a training row, whose columns are null.

    Raises:
        DataError: a column is missing, or a value is not an id.

    """
    item = section.item
    columns = list(dict.fromkeys([item, *schema.sources()]))
    require_columns(source, columns)
    ids, last = list[pl.Series](), list[pl.DataFrame]()
    positives = 0
    for chunk in source.chunks(list(dict.fromkeys([*columns, *rows.columns()]))):
        mask, positives = rows.among(chunk, positives)
        own = canonical_ids(item, chunk.frame[item], bad_rows[0])
        ids.append(own.unique())
        seen = chunk.frame.select(columns).with_columns(own).filter(pl.Series(mask))
        last = [last_of_each(pl.concat([*last, seen], how="vertical_relaxed"), item)]
    every = pl.concat([part.to_frame() for part in ids], how="vertical_relaxed")
    every = every.drop_nulls().unique().sort(item)
    known = last[0].with_columns(pl.col(item).cast(every.schema[item]))
    table = every.join(known, on=item, how="left", maintain_order="left")
    items = FrameSource(table.select(columns), f"the items of {source.name}")
    found = items_of(items, schema, item=item, columns=columns, bad_rows=bad_rows)
    return replace(found, missing=len(every) - len(known))
