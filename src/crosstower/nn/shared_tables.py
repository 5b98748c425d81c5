"""Rows of shared tables: where the embeddings of each field begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstower.data.layout import RESERVED_CODES, CodeField, ListField


@dataclass(frozen=True)
class CodeRows:
    """Rows of a parameter that belong to the codes of a table: the first of them, and how many."""

    table: str
    start: int
    size: int


@dataclass(frozen=True)
class Place:
    """Location of a field's rows: their parameter and the first row."""

    width: str
    offset: int


def places_of_tables(
    fields: Sequence[CodeField | ListField], dim: int
) -> tuple[dict[str, Place], dict[str, int]]:
    """Return the place of each table, and the number of rows by width.

    >>> item = CodeField("item", size=10, table="item")
    >>> city = CodeField("city", size=5, table="city", dim=8)
    >>> history = ListField("history", size=10, table="item", length=20)
    >>> shop = CodeField("shop", size=7, table="shop")
    >>> places, rows = places_of_tables([item, city, history, shop], dim=16)
    >>> places["item"], places["shop"], places["city"]
    (Place(width='16', offset=0), Place(width='16', offset=10), Place(width='8', offset=0))
    >>> rows
    {'16': 17, '8': 5}

    Args:
        fields: those of one table have the width of its first field.
        dim: width of fields without one.

    """
    places: dict[str, Place] = {}
    rows: dict[str, int] = {}
    for field in fields:
        width = str(field.dim or dim)
        if field.table not in places:
            places[field.table] = Place(width, rows.get(width, 0))
            rows[width] = rows.get(width, 0) + field.size
    return places, rows


def code_rows_of(
    fields: Sequence[CodeField | ListField], places: Mapping[str, Place]
) -> dict[str, list[CodeRows]]:
    """Return, by parameter, the rows that belong to the codes of each table.

    >>> fields = [CodeField("item", 10, "item"), CodeField("city", 5, "city")]
    >>> code_rows_of(fields, places_of_tables(fields, dim=16)[0])["tables.16"][0]
    CodeRows(table='city', start=10, size=5)
    """
    rows: dict[str, list[CodeRows]] = {}
    for table, size in {f.table: f.size for f in reversed(fields)}.items():
        place = places[table]
        rows.setdefault(f"tables.{place.width}", []).append(CodeRows(table, place.offset, size))
    return rows


def reserved_rows(places: dict[str, Place]) -> dict[str, list[range]]:
    """Return the rows of reserved codes by width, one range per table.

    >>> reserved_rows({"item": Place("16", 0), "shop": Place("16", 10)})
    {'16': [range(0, 3), range(10, 13)]}
    """
    rows: dict[str, list[range]] = {}
    for place in places.values():
        reserved = range(place.offset, place.offset + RESERVED_CODES)
        rows.setdefault(place.width, []).append(reserved)
    return rows


def grouped_by_width(
    used: list[tuple[int, CodeField]], places: dict[str, Place]
) -> dict[str, tuple[list[int], list[int]]]:
    """Return columns of the codes and first rows of single-valued fields, by width.

    >>> fields = [CodeField("item", 10, "item"), CodeField("city", 5, "city")]
    >>> grouped_by_width(list(enumerate(fields)), places_of_tables(fields, dim=16)[0])
    {'16': ([0, 1], [0, 10])}
    """
    groups: dict[str, tuple[list[int], list[int]]] = {}
    for column, field in used:
        place = places[field.table]
        columns, offsets = groups.setdefault(place.width, ([], []))
        columns.append(column)
        offsets.append(place.offset)
    return groups
