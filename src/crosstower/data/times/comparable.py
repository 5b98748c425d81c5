"""Times in conditions: columns of any unit and zone, and ISO 8601 text, as comparable numbers."""

from __future__ import annotations

from typing import Any

import polars as pl

from crosstower.values.instants import DAY, SECOND, iso_instants

_NANOSECONDS = {"ms": 1_000_000, "us": 1_000, "ns": 1}


def comparable(column: pl.Expr, kind: Any) -> pl.Expr:
    """Return a Date or Datetime column as nanoseconds since 1970-01-01 UTC, in 128 bits.

    Args:
        column: the expression.
        kind: its type; a time without a zone counts as UTC.

    """
    factor = DAY * SECOND if kind == pl.Date else _NANOSECONDS[kind.time_unit]
    return column.to_physical().cast(pl.Int128) * factor


def comparable_text(column: pl.Expr) -> pl.Expr:
    """Return ISO 8601 text as `comparable` returns times; null where a cell is not a time."""
    return column.cast(pl.String).map_batches(_of_text, return_dtype=pl.Int128, is_elementwise=True)


def _of_text(text: pl.Series) -> pl.Series:
    found = iso_instants(text.str.strip_chars())
    seconds, nanos = (pl.lit(part).cast(pl.Int128) for part in (found.seconds, found.nanos))
    return pl.select(seconds * SECOND + nanos).to_series()


def moment_of(text: str) -> int | None:
    """Return the nanoseconds of an ISO 8601 text since 1970-01-01 UTC; None if it is none.

    >>> moment_of("1970-01-02T00:00:00+01:00")
    82800000000000
    """
    found = iso_instants(pl.Series([text]))
    seconds = found.seconds[0]
    return None if seconds is None else int(seconds) * SECOND + int(found.nanos[0])
