"""Content types as integer codes, for fast row selection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.values.arrays import Indices
from crosstower.values.columns import text_of


def type_text(values: pl.Series) -> pl.Series:
    """Return content types as text `[rows]`, null where missing; 3, 3.0 and "3" are one type.

    Raises:
        DataError: the column holds lists or structures.

    """
    return text_of(values)


class Names:
    """Names of types in order, and the number of each, shared by all rows that have them."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.numbers = {name: number for number, name in enumerate(self.names)}


@dataclass(frozen=True)
class ContentTypes:
    """The type of each row: `codes` `[rows]` are numbers of `kinds`, -1 where it is missing."""

    codes: NDArray[np.int32]
    kinds: Names

    @staticmethod
    def of(values: pl.Series) -> ContentTypes:
        """Return the types of a column of single values, see `type_text`; numbered by name."""
        text = type_text(values)
        names = text.drop_nulls().unique().sort()
        codes = text.cast(pl.Enum(names)).to_physical().cast(pl.Int32).fill_null(-1)
        return ContentTypes(codes.to_numpy(), Names(names))

    @staticmethod
    def concatenate(parts: Sequence[ContentTypes]) -> ContentTypes:
        """Return the types of the rows of all parts, in order."""
        if all(part.kinds is parts[0].kinds for part in parts):
            return ContentTypes(np.concatenate([p.codes for p in parts]), parts[0].kinds)
        numbers: dict[str, int] = {}
        codes: list[NDArray[np.int32]] = []
        for part in parts:
            new = np.full(len(part.kinds.names) + 1, -1, dtype=np.int32)
            for code in np.unique(part.codes[part.codes >= 0]).tolist():  # of those that are there
                new[code] = numbers.setdefault(part.kinds.names[code], len(numbers))
            codes.append(new[part.codes])
        return ContentTypes(np.concatenate(codes), Names(numbers))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def __getitem__(self, rows: Indices) -> ContentTypes:
        """Return the types of the chosen rows."""
        return ContentTypes(self.codes[rows], self.kinds)

    def rows_of(self, known: Iterable[str]) -> list[tuple[str | None, Indices]]:
        """Return the rows of each known type that has some, then under None those of all others.

        >>> types = ContentTypes.of(pl.Series(["ad", None, "post", "ad"]))
        >>> [(name, rows.tolist()) for name, rows in types.rows_of(["ad"])]
        [('ad', [0, 3]), (None, [1, 2])]
        """
        names, numbers = list(known), self.kinds.numbers
        places = np.full(len(numbers) + 1, len(names))  # the last one is of code -1
        for place, name in enumerate(names):
            if name in numbers:
                places[numbers[name]] = place
        place_of = places[self.codes]
        order = np.argsort(place_of, kind="stable")
        ends = np.cumsum(np.bincount(place_of, minlength=len(names) + 1))
        parts = np.split(order, ends[:-1])
        found = [(name, rows) for name, rows in zip(names, parts, strict=False) if len(rows)]
        return [*found, (None, parts[-1])]

    def text(self) -> list[str | None]:
        """Return the type of each row, None where missing."""
        names = self.kinds.names
        return [None if code < 0 else names[code] for code in self.codes.tolist()]
