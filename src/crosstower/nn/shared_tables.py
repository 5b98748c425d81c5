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
    """Return, by parameter, the rows that belong to the codes of each table."""
    rows: dict[str, list[CodeRows]] = {}
    for table, size in {f.table: f.size for f in reversed(fields)}.items():
        place = places[table]
        rows.setdefault(f"tables.{place.width}", []).append(CodeRows(table, place.offset, size))
    return rows


def reserved_rows(places: dict[str, Place]) -> dict[str, list[range]]:
    """Return the rows of reserved codes, by table."""
    rows: dict[str, list[range]] = {}
    for place in places.values():
        reserved = range(place.offset, place.offset + RESERVED_CODES)
        rows.setdefault(place.width, []).append(reserved)
    return rows


def grouped_by_width(
    used: list[tuple[int, CodeField]], places: dict[str, Place]
) -> dict[str, tuple[list[int], list[int]]]:
    """Return columns of the codes and first rows of single-valued fields, by width."""
    groups: dict[str, tuple[list[int], list[int]]] = {}
    for column, field in used:
        place = places[field.table]
        columns, offsets = groups.setdefault(place.width, ([], []))
        columns.append(column)
        offsets.append(place.offset)
    return groups
