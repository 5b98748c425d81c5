"""The cells of one column, checked and in canonical form; which of them are bad, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import polars as pl

from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.own_columns import place_name
from crosstower.recipe.schema import (
    Categorical,
    Coded,
    Column,
    Cross,
    Distance,
    Numeric,
    Text,
    Vector,
)
from crosstower.values.columns import ids_of, no_ids, numbers_of, settled, text_of
from crosstower.values.geography import haversine_km
from crosstower.values.lists import id_lists, none_bad, number_lists

_ID = "an id, an integer or a text"
_ID_ADVICE = "store ids as integers or text, as floating-point numbers round them"


@dataclass(frozen=True)
class Cells:
    """Values of a column, which of them are bad, and what to say of those."""

    values: pl.Series
    bad: pl.Series
    expected: str
    advice: str


def column_cells(name: str, column: Column, raw: pl.Series) -> Cells:
    """Return the cells of a schema column that reads one column of the data.

    Raises:
        DataError: a cell cannot be read at all, or an own kind returns no series of the rows.

    """
    if isinstance(column, Cross | Distance):
        raise TypeError(f"column '{name}' has no cells of its own: {column.kind}")
    values = _cleaned(name, column, raw)
    if values is raw:
        return _cells(column, raw)
    cells = _cells(column, values.alias(raw.name))
    lost = raw.is_not_null() & values.is_null()
    if not lost.any():
        return cells
    return Cells(cells.values, cells.bad | lost, column.expected, "repair the cell")


def _cleaned(name: str, column: Coded | Numeric | Text | Vector, raw: pl.Series) -> pl.Series:
    """Return what an own kind makes of raw cells; the cells themselves if the kind is built in."""
    if raw.dtype == pl.Null:  # all are missing, which no kind has to read
        return raw
    try:
        values = cast("object", column.clean(raw))  # own code may return anything
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"column '{raw.name}': expected {column.expected}, got {raw.dtype}, which kind"
            f" '{column.kind}' cannot read ({reason})"
        ) from error
    if isinstance(values, pl.Series) and len(values) == len(raw):
        return values
    given = f"{len(values):,} values" if isinstance(values, pl.Series) else type(values).__name__
    raise DataError(
        f"column '{name}': clean of kind '{column.kind}' must return a polars Series of"
        f" {len(raw):,} values, got {given}"
    )


def _cells(column: Coded | Numeric | Text | Vector, raw: pl.Series) -> Cells:
    match column:
        case Numeric():
            return number_cells(raw)
        case Vector():
            return _vectors(raw, column.width)
        case Categorical():
            return _ids(raw)
        case Text():
            return _texts(raw)
        case _:
            return _lists(raw, column.separator)


def distance_cells(
    name: str, column: Distance, frame: pl.DataFrame
) -> list[tuple[str, str, Cells]]:
    """Return the four coordinates, checked, and the distance."""
    cells: list[tuple[str, str, Cells]] = []
    for source, limit in zip((*column.origin, *column.to), (90, 180, 90, 180), strict=True):
        number = number_cells(frame[source])
        outside = (number.values.abs() > limit).fill_null(value=False)
        expected = f"degrees from -{limit} to {limit}"
        advice = "give latitude and longitude in that order"
        checked = Cells(number.values, number.bad | outside, expected, advice)
        cells.append((place_name(name, len(cells)), source, checked))
    places = [pl.lit(c.values) for _, _, c in cells]
    km = pl.select(haversine_km((places[0], places[1]), (places[2], places[3]))).to_series()
    distance = Cells(km, none_bad(len(km)), "kilometres", "repair it")
    return [*cells, (name, name, distance)]


def _texts(raw: pl.Series) -> Cells:
    if raw.dtype.is_nested():
        raise DataError(f"column '{raw.name}': expected text, got {raw.dtype}; declare it a bag or"
                        " a vector")  # fmt: skip
    text = raw if raw.dtype == pl.String else text_of(raw)
    return Cells(text, none_bad(len(raw)), "text", "repair the cell")


def number_cells(raw: pl.Series) -> Cells:
    """Return the numbers of a column; a cell that is none, or not finite, is bad."""
    values, unreadable = numbers_of(raw)
    bad = unreadable | ~values.is_finite().fill_null(value=True)
    return Cells(values, bad, "a finite number", "repair the cell, leave it empty if unknown")


def amount_cells(raw: pl.Series) -> Cells:
    """Return amounts, which must be there and not be negative."""
    cells = number_cells(raw)
    bad = cells.bad | cells.values.is_null() | (cells.values < 0).fill_null(value=False)
    return Cells(cells.values, bad, "an amount of at least 0", "fill it in")


def time_cells(clock: Clock, raw: pl.Series) -> Cells:
    """Return times, which must be there."""
    times = clock.read(raw)
    return Cells(times, times.is_null(), "a time", "fill it in")


def _ids(raw: pl.Series) -> Cells:
    ids = ids_of(raw)
    return Cells(ids, no_ids(raw, ids), _ID, _ID_ADVICE)


def to_ids(name: str, raw: pl.Series) -> pl.Series:
    """Return the canonical ids of a whole column, Int64 where all are integers, else String.

    Raises:
        DataError: a value cannot be an id.

    """
    ids = ids_of(raw)
    bad = no_ids(raw, ids)
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise DataError(
            f"column '{name}': expected {_ID}, got {raw[row]!r} in row {row}; {_ID_ADVICE}"
        )
    return settled(ids)


def _lists(raw: pl.Series, separator: str | None) -> Cells:
    values, bad = id_lists(raw, separator)
    expected, advice = "a list of ids, integers or texts", "store such lists"
    if separator is None and not isinstance(raw.dtype, pl.List | pl.Array):
        expected = "a list such as [1, 2]"
        advice = "declare separator: '|' (or whatever stands between values)"
    return Cells(values, bad, expected, advice)


def _vectors(raw: pl.Series, width: int) -> Cells:
    values = number_lists(raw, width)
    finite = values.list.eval(pl.element().is_finite().fill_null(value=False)).list.all()
    bad = ((values.list.len() != width) | ~finite).fill_null(value=False)
    bad |= values.is_null() & raw.is_not_null()
    return Cells(values, bad, f"{width} finite numbers", "set width, repair the cell")
