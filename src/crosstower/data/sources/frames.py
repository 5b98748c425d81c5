"""Polars columns of Arrow tables, pandas frames and Python values of any type."""

from __future__ import annotations

import datetime as dt
import importlib
import math
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import polars as pl
import pyarrow as pa

from crosstower.errors import DataError, first_line
from crosstower.values.ids import EXACT, HIGH, LOW, text_of_value

_MISSING = ("NoneType", "NAType", "NaTType")

_SIMPLE: dict[type, Any] = {float: pl.Float64, str: pl.String, bool: pl.Boolean}
_UUID = "$1-$2-$3-$4-$5"


def frame_of(table: Any) -> pl.DataFrame:
    """Return a polars, pandas or Arrow table as a polars frame.

    Named levels of the index of a pandas frame come first, unless a column has that name or they
    cannot be read.

    Raises:
        DataError: a column mixes values without a common type, such as dictionaries and numbers.

    """
    if isinstance(table, pl.DataFrame):
        return table.with_columns(
            series_of(c.name, c.to_list()) for c in table.get_columns() if c.dtype == pl.Object
        )
    if isinstance(table, pa.Table | pa.RecordBatch):
        return from_arrow(table)
    columns = [_of_pandas(str(name), table.iloc[:, i]) for i, name in enumerate(table.columns)]
    return pl.DataFrame([*_index_levels(table), *columns])


def _index_levels(table: Any) -> Iterator[pl.Series]:
    """Yield the named levels of the index of a pandas frame that are not columns."""
    taken = {str(name) for name in table.columns}
    for place, name in enumerate(table.index.names):
        if name is None or str(name) in taken:
            continue
        taken.add(str(name))
        with suppress(DataError):  # an index is often not meant as data
            yield _of_pandas(str(name), table.index.get_level_values(place).to_series())


def from_arrow(table: Any) -> pl.DataFrame:
    """Return an Arrow table or record batch; types that polars lacks become ones that it has.

    Raises:
        DataError: a column is of a type without single values, such as an interval.

    """
    names = table.schema.names
    return pl.DataFrame([_of_arrow(n, table.column(i)) for i, n in enumerate(names)])


def _of_arrow(name: str, column: Any) -> pl.Series:
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = [c.storage for c in _chunks(column)]
        plain = _of_arrow(name, pa.chunked_array(storage, kind.storage_type))
        if kind.extension_name != "arrow.uuid":
            return plain
        parts = "".join(f"([0-9a-f]{{{n}}})" for n in (8, 4, 4, 4, 12))
        return plain.str.replace(parts, _UUID)
    if pa.types.is_run_end_encoded(kind):
        return _of_arrow(name, pa.chunked_array([_decoded(c) for c in _chunks(column)]))
    if pa.types.is_dictionary(kind) and not _is_text(kind.value_type):
        return _of_arrow(name, column.cast(kind.value_type))
    column = _as_known_type(column)
    try:
        series = pl.Series(name, pl.from_arrow(column))
    except (pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"column '{name}': holds {kind}, which cannot be read; store it as text or numbers"
        ) from error
    # Bytes of one width are keys such as digests; those of any width are mostly texts.
    return series.bin.encode("hex") if pa.types.is_fixed_size_binary(kind) else series


def _as_known_type(column: Any) -> Any:
    """Cast a column of plain values whose type polars lacks to one that it has."""
    kind = column.type
    if pa.types.is_timestamp(kind) and (kind.tz or "").startswith(("+", "-")):
        # Of the zones that are offsets, polars knows those of whole hours only.
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_decimal256(kind):
        return column.cast(pa.string())
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        # A cast of Arrow 26 loses the values of views.
        return pa.array(column.to_pylist(), pa.large_list(kind.value_type))
    return column


def _is_text(kind: Any) -> bool:
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _decoded(column: Any) -> Any:
    compute: Any = importlib.import_module("pyarrow.compute")  # has no types
    return compute.run_end_decode(column)


def _chunks(column: Any) -> list[Any]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _of_pandas(name: str, column: Any) -> pl.Series:
    kind = str(column.dtype)
    if kind.startswith(("period", "interval")):
        return pl.Series(name, [None if v != v else str(v) for v in column.tolist()], pl.String)  # noqa: PLR0124
    if kind.startswith("Sparse"):
        column = column.sparse.to_dense()
    if kind == "category":
        inner = str(column.cat.categories.dtype)
        if inner.startswith(("object", "period", "interval", "datetime64")):
            return _of_pandas(name, column.astype(inner))
    if kind == "object":
        # A NaN of pandas means missing, and so it does in the other columns.
        values = (None if isinstance(v, float) and math.isnan(v) else v for v in column.tolist())
        return series_of(name, list(values))
    zone = getattr(column.dtype, "tz", None)
    if zone is not None:
        # Arrow reads `Series.values`, which pandas 3.1 deprecates for times of a zone.
        utc = pa.array(column.dt.tz_convert(None), from_pandas=True)
        zone_name = pa.scalar(dt.datetime.fromtimestamp(0, zone)).type.tz
        return _of_arrow(name, utc.cast(pa.timestamp(utc.type.unit, zone_name)))
    try:
        return pl.from_pandas(column.reset_index(drop=True)).alias(name)
    except (pa.ArrowException, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"column '{name}': holds {kind} of pandas, which cannot be read; convert it to numbers"
            " or text first"
        ) from error


def series_of(name: str, values: Sequence[Any]) -> pl.Series:
    """Return Python values of one column; where their kinds differ, as their canonical texts.

    >>> series_of("id", [7, "a", None, True]).to_list()
    ['7', 'a', None, 'true']

    Raises:
        DataError: a value is of a kind that no column has.

    """
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) == 1 and (kind := _SIMPLE.get(next(iter(kinds)))) is not None:
        return pl.Series(name, values, kind)
    plain = [_plain(value) for value in values]
    families = {_family(v) for v in plain if v is not None}
    if "list" in families:
        return _lists(name, plain, families)
    if len(families) > 1 or families & {"large", "uuid", "other"}:
        return _texts(name, plain, families)
    if families == {"number"}:
        plain = [None if v is None else float(v) for v in plain]
    try:
        return pl.Series(name, plain, strict=False)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise _error(name, plain[0], first_line(error)) from error


def _texts(name: str, values: Sequence[Any], families: set[str]) -> pl.Series:
    if families == {"integer", "number"} and not any(
        isinstance(v, int) and abs(v) >= EXACT for v in values
    ):
        return pl.Series(name, [None if v is None else float(v) for v in values], pl.Float64)
    texts: list[str | None] = []
    for row, value in enumerate(values):
        if value is not None and _family(value) in ("other", "structure"):
            raise _error(name, value, f"row {row}")
        texts.append(text_of_value(value))
    return pl.Series(name, texts, pl.String)


def _lists(name: str, values: Sequence[Any], families: set[str]) -> pl.Series:
    if families != {"list"}:
        row = next(i for i, v in enumerate(values) if v is not None and _family(v) != "list")
        raise _error(name, values[row], f"row {row}, where other rows hold lists")
    flat = series_of(name, [element for v in values if v is not None for element in v])
    found, start = list[list[Any] | None](), 0
    elements = flat.to_list()
    for value in values:
        end = start + (0 if value is None else len(value))
        found.append(None if value is None else elements[start:end])
        start = end
    return pl.Series(name, found, pl.List(flat.dtype))


def _plain(value: Any) -> Any:
    """Return a value of Python itself, None where it is missing."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        value = value.tolist()  # of NumPy
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return value


def _family(value: Any) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (bool, "boolean"), (Integral, "integer"), (Real, "number"), (Decimal, "decimal"),
        (str, "text"), (bytes | bytearray, "bytes"), (dt.datetime, "moment"), (dt.date, "date"),
        (dt.time, "time"), (dt.timedelta, "duration"), (list, "list"), (dict, "structure"),
        (uuid.UUID, "uuid"),
    )  # fmt: skip
    family = next((name for kind, name in kinds if isinstance(value, kind)), "other")
    return "large" if family == "integer" and not LOW <= value < HIGH else family


def _error(name: str, value: Any, where: str) -> DataError:
    return DataError(
        f"column '{name}': {value!r} of type {type(value).__name__} cannot be read ({where}); give"
        " numbers, texts, booleans, dates or lists of them"
    )
