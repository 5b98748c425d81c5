"""Check rules against the columns that items have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError, did_you_mean
from crosstower.recipe.rules import Rules
from crosstower.values.instants import is_temporal


def check_rules(rules: Rules, columns: Mapping[str, pl.DataType], *, vectors: bool) -> None:
    """Reject rules that name unknown columns or columns of another type.

    >>> check_rules(Rules(dedup_by="titel"), {"title": pl.String()}, vectors=False)
    Traceback (most recent call last):
    crosstower.errors.QueryError: rules.dedup_by[0]: no column 'titel'; did you mean 'title'?; ...

    Args:
        rules: of a bundle or a request.
        columns: names and types of the attributes of items.
        vectors: whether items have vectors.

    Raises:
        QueryError: has a line per wrong key.

    """
    lines: list[str] = []
    for key, where in rules.conditions():
        try:
            parse_filter(where, columns)
        except QueryError as error:
            lines.append(f"rules.{key}: {error}")
    lines += _wrong(rules.value_columns(), columns, "single values", _is_single)
    lines += _wrong(rules.number_columns(), columns, "numbers", _is_number)
    if rules.freshness is not None:
        named = [("freshness.column", rules.freshness.column)]
        lines += _wrong(named, columns, "times", _may_be_time)
    if rules.needs_vectors and not vectors:
        advice = "use mmr with similar_by: [COLUMN, ...]"
        lines.append(f"rules: mmr and dpp need item vectors, and there is no retriever; {advice}")
    if lines:
        raise QueryError("\n".join(lines))


def _wrong(
    named: Sequence[tuple[str, str]],
    columns: Mapping[str, pl.DataType],
    expected: str,
    fits: Callable[[pl.DataType], bool],
) -> list[str]:
    """Return a line for each column that is unknown or of another type."""
    lines: list[str] = []
    for key, name in named:
        kind = columns.get(name)
        if kind is None:
            hint = did_you_mean(name, list(columns))
            lines.append(f"rules.{key}: no column '{name}'{hint}; items have: {', '.join(columns)}")
        elif not fits(kind):
            allowed = ", ".join(n for n, k in columns.items() if fits(k)) or "none"
            lines.append(
                f"rules.{key}: column '{name}' holds {kind}, expected {expected}; columns of"
                f" {expected}: {allowed}"
            )
    return lines


def _is_single(kind: pl.DataType) -> bool:
    return not kind.is_nested()


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric()


def _may_be_time(kind: pl.DataType) -> bool:
    return is_temporal(kind) or kind == pl.String or kind.is_numeric()
