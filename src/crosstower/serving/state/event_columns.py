"""The column types of the values of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

MOST_COLUMNS, MOST_KEYS = 256, 4_096
_EXACT = 2**53  # whole numbers up to here are exact as floats
_SCALARS: tuple[tuple[frozenset[str], pl.DataType], ...] = (
    (frozenset({"bool"}), pl.Boolean()),
    (frozenset({"int", "long"}), pl.Int64()),
    (frozenset({"int", "float"}), pl.Float64()),
    (frozenset({"str"}), pl.String()),
)


class Kinds:
    """The kinds of values seen per key, for at most `MOST_KEYS` keys: clients choose the keys."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}
        self._events = Counter[str]()
        self.more_keys = False  # whether there are more

    def see(self, properties: Mapping[str, Any]) -> None:
        """Add the values of one event."""
        for key, value in properties.items():
            if key not in self._seen and len(self._seen) >= MOST_KEYS:
                self.more_keys = True
                continue
            self._events[key] += 1
            kinds = self._seen.setdefault(key, set())
            if value is not None:
                kinds.add(_kind(value))

    def types(self) -> dict[str, pl.DataType | None]:
        """Return the type of each key's values, None if they have none in common.

        Booleans, whole numbers of 64 bits, numbers and text have one, and lists of these. Whole
        numbers mixed with other numbers are floats where that is exact. Of more than
        `MOST_COLUMNS` keys, only those in most events have a type. A key without
        any value is left out.
        """
        often = {key for key, _ in self._events.most_common(MOST_COLUMNS)}
        seen = {key: kinds for key, kinds in self._seen.items() if kinds - {"[]"}}
        return {key: _type_of(kinds) if key in often else None for key, kinds in seen.items()}


def id_column(name: str, ids: Iterable[Any], kind: pl.DataType | None) -> pl.Series:
    """Return ids as a column: integers if `kind` is that for all, else text."""
    if kind == pl.Int64():
        return pl.Series(name, list(ids), kind)
    return pl.Series(name, [None if v is None else str(v) for v in ids], pl.String())


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"[{' '.join(sorted({_kind(v) for v in value if v is not None}))}]"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if abs(value) <= _EXACT:
            return "int"
        return "long" if -(2**63) <= value < 2**63 else "huge"
    return type(value).__name__


def _type_of(kinds: set[str]) -> pl.DataType | None:
    if not kinds or not all(kind.startswith("[") for kind in kinds):
        return _scalar_type(kinds)
    inner = _scalar_type({part for kind in kinds for part in kind[1:-1].split()})
    return None if inner is None else pl.List(inner)


def _scalar_type(kinds: set[str]) -> pl.DataType | None:
    return next((kind for allowed, kind in _SCALARS if kinds and kinds <= allowed), None)
