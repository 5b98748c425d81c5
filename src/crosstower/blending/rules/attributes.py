"""The attributes of candidates as rules read them. Shapes: C candidates, D width of a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.filters.filter import parse_filter
from crosstower.values.arrays import Floats, Indices
from crosstower.values.instants import time_numbers

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RuleRows:
    """Candidates with their attributes, each read when a rule asks for it.

    Args:
        count: number of candidates.
        column: returns a column `[C]` by name.
        fits: returns which candidates `[C]` fulfil a condition.
        row_of: returns the row of an item id, -1 if it is not a candidate.
        vectors: returns unit vectors `[C, D]` of the items; None if there are none.

    """

    count: int
    column: Callable[[str], pl.Series]
    fits: Callable[[str], Mask]
    row_of: Callable[[Any], int]
    vectors: Callable[[], NDArray[np.float32]] | None = None

    @staticmethod
    def of_table(
        table: pl.DataFrame,
        ids: Sequence[Any] = (),
        vectors: Callable[[], NDArray[np.float32]] | None = None,
    ) -> RuleRows:
        """Return the rows of a table.

        >>> rows = RuleRows.of_table(pl.DataFrame({"city": ["Rome", "Oslo", "Rome", None]}))
        >>> rows.codes("city").tolist(), rows.fits("city == 'Rome'").tolist()
        ([0, 1, 0, -1], [True, False, True, False])

        Args:
            table: attributes, a row per candidate.
            ids: `[C]` item ids, for pins.
            vectors: as for the class.

        """
        kinds, places = dict(table.schema), {item: row for row, item in enumerate(ids)}
        return RuleRows(
            count=table.height,
            column=table.__getitem__,
            fits=lambda where: table.select(parse_filter(where, kinds).alias("fits"))[
                "fits"
            ].to_numpy(),
            row_of=lambda item: places.get(item, -1),
            vectors=vectors,
        )

    def codes(self, name: str) -> Indices:
        """Return the values of a column as codes `[C]` from 0, equal for equal values; -1: none."""
        # Without a query engine, whose threads wait for one another on a busy machine.
        numbers: dict[Any, int] = {}
        values = self.column(name).to_list()
        codes = (-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values)
        return np.fromiter(codes, dtype=np.int64, count=len(values))

    def numbers(self, name: str) -> Floats:
        """Return a column as numbers `[C]`, NaN where there is none."""
        return _floats(self.column(name).cast(pl.Float64, strict=False))

    def times(self, name: str) -> Floats:
        """Return a column as seconds since 1970-01-01 UTC `[C]`, NaN where there is none."""
        column = self.column(name)
        return _floats(
            column.cast(pl.Float64) if column.dtype.is_numeric() else time_numbers(column)
        )


def _floats(column: pl.Series) -> Floats:
    return (column.fill_null(float("nan")) if column.null_count() else column).to_numpy()
