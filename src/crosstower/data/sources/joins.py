"""Tables joined to rows by a key, and how many rows found theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.sources.source import Chunk, FrameSource, Source, open_source, require_columns
from crosstower.errors import DataError
from crosstower.recipe.csv import Csv
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.own_columns import MARK
from crosstower.values.columns import to_ids

_KEY, _FOUND = f"{MARK}key", f"{MARK}found"
_SHOWN_KEYS = 3
_LOW = 0.9


@dataclass
class KeyCounts:
    """Rows of a pass, those whose key a table has, those without a key, and a few keys it lacks."""

    rows: int = 0
    found: int = 0
    keyless: int = 0
    strangers: list[Any] = field(default_factory=list[Any])

    def add(self, keys: pl.Series, found: pl.Series) -> None:
        """Add the keys of a chunk; `found` is null where the table lacks one."""
        self.rows += len(keys)
        self.found += len(found) - found.null_count()
        self.keyless += keys.null_count()
        if len(self.strangers) < _SHOWN_KEYS:
            strange = keys.filter(found.is_null() & keys.is_not_null()).head(_SHOWN_KEYS)
            self.strangers = [*self.strangers, *strange][:_SHOWN_KEYS]

    def merge(self, other: KeyCounts) -> None:
        """Add the counts of the rows that follow."""
        self.rows += other.rows
        self.found += other.found
        self.keyless += other.keyless
        self.strangers = [*self.strangers, *other.strangers][:_SHOWN_KEYS]


@dataclass(frozen=True)
class JoinedSource:
    """Rows of `base` with the columns of a table in memory added by key.

    `counts` are those of the last complete pass; see `joins`.
    """

    base: Source
    table: pl.DataFrame
    on: str
    name: str
    table_name: str = "the table"
    counts: KeyCounts = field(default_factory=KeyCounts, compare=False)

    def columns(self) -> list[str]:
        """Return the columns of both sides."""
        return self.base.columns() + [c for c in self.table.columns if c != self.on]

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows of `base` in order; keys that the table lacks give nulls."""
        added = [c for c in columns if c in self.table.columns and c != self.on]
        kept = list(dict.fromkeys([*(c for c in columns if c not in added), self.on]))
        right = self.table.select(_key(self.table[self.on]), *added)
        right = right.with_columns(pl.lit(value=True).alias(_FOUND))
        counts = KeyCounts()
        for chunk in self.base.chunks(kept):
            left = chunk.frame.with_columns(_key(chunk.frame[self.on]))
            frame = left.join(right, on=_KEY, how="left", maintain_order="left")
            counts.add(left[_KEY], frame[_FOUND])
            yield Chunk(frame.select(columns), chunk.origin, chunk.first_row, chunk.index)
        vars(self.counts).update(vars(counts))


class JoinMatch(FrozenModel):
    """Rows of one pass: `found` have a key of the table, `keyless` have none at all.

    `of` names the rows.
    """

    table: str
    on: str
    of: str = "rows"
    rows: int
    found: int
    keyless: int

    @property
    def rate(self) -> float:
        """The share of rows that found their key; 1 without rows."""
        return self.found / self.rows if self.rows else 1.0

    @property
    def low(self) -> bool:
        """Whether so few rows found their key that something may be wrong."""
        return self.rate < _LOW

    @property
    def title(self) -> str:
        """The table and its key."""
        return f"join of {self.table} on '{self.on}'"

    @property
    def result(self) -> str:
        """How many rows found their key, with advice where it is few."""
        without = f", {self.keyless:,} have no key" if self.keyless else ""
        advice = "; low: check that both sides write their keys alike" if self.low else ""
        return (
            f"{self.found:,} of {self.rows:,} {self.of} found their key ({self.rate:.1%})"
            f"{without}{advice}"
        )

    @property
    def sentence(self) -> str:
        """The title and the result."""
        return f"{self.title}: {self.result}"

    def without_folder(self) -> JoinMatch:
        """Return the match with only the file name of its table."""
        return self.model_copy(update={"table": Path(self.table).name})


def join(source: Source, data: Any, *, on: str, dialect: Csv | None = None) -> JoinedSource:
    """Return `source` with the columns of a smaller table added by the key `on`.

    Args:
        source: the rows.
        data: a path or a table with one row per key.
        on: the key column.
        dialect: of CSV files.

    Raises:
        DataError: the key is missing on one side, or a key is in the table twice.

    """
    other = open_source(data, dialect)
    require_columns(source, [on])
    require_columns(other, [on])
    table = pl.concat([c.frame for c in other.chunks(other.columns())], how="vertical_relaxed")
    keys = _key(table[on])
    twice = table[on].filter(keys.is_duplicated() & keys.is_not_null())
    if len(twice):
        raise DataError(
            f"join on '{on}': {other.name} holds the key {twice[0]!r} more than once, which would"
            " multiply rows; keep one row per key"
        )
    clash = [c for c in other.columns() if c != on and c in source.columns()]
    if clash:
        raise DataError(
            f"join on '{on}': column '{clash[0]}' is on both sides; drop it from {source.name}, or"
            f" rename it in {other.name}"
        )
    return JoinedSource(source, table, on, source.name, other.name)


def join_matches(source: Source, of: str = "rows") -> tuple[JoinMatch, ...]:
    """Return how the joins of a source matched in its last complete pass, in their order.

    Args:
        source: the rows.
        of: their name in messages.

    Raises:
        DataError: none of the rows found its key, in some join.

    """
    joins = [join for join in _joins(source) if join.counts.rows]
    for join in joins:
        if join.counts.found == 0:
            raise DataError(_nothing(join, of))
    found = [
        JoinMatch(
            table=join.table_name,
            on=join.on,
            of=of,
            rows=join.counts.rows,
            found=join.counts.found,
            keyless=join.counts.keyless,
        )
        for join in joins
    ]
    return tuple(reversed(found))


def table_matches(
    frame: pl.DataFrame, tables: Sequence[JoinedSource], of: str
) -> tuple[JoinMatch, ...]:
    """Return how rows in memory match tables that wait for rows; tables without a key are left out.

    Args:
        frame: the rows; columns that a table adds take the place of theirs.
        tables: joined one after the other.
        of: name of the rows in messages.

    Raises:
        DataError: none of the rows found its key, in some join.

    """
    added = {name for table in tables for name in table.table.columns if name != table.on}
    source: Source = FrameSource(frame.drop(added & set(frame.columns)), f"the {of}")
    keys: list[str] = []
    for table in tables:
        if table.on in source.columns():
            source = replace(table, base=source, counts=KeyCounts())
            keys.append(table.on)
    for _chunk in source.chunks(keys) if keys else ():
        pass  # a complete pass counts the keys
    return join_matches(source, of)


def _joins(source: Source | None) -> Iterator[JoinedSource]:
    while source is not None:
        if isinstance(source, JoinedSource):
            yield source
        source = getattr(source, "base", None)


def _nothing(join: JoinedSource, of: str) -> str:
    counts = join.counts
    ours = f"the {of} hold {_shown(counts.strangers)}"
    if not counts.strangers:
        ours = f"none of the {of} has a key"
    theirs = _shown(join.table[join.on].drop_nulls().head(3).to_list())
    return (
        f"join of {join.table_name} on '{join.on}': none of {counts.rows:,} {of} found its key:"
        f" {ours}, the table holds {theirs}; write the keys alike on both sides, name another key"
        " column, or drop the join"
    )


def _shown(keys: Sequence[object]) -> str:
    return ", ".join(map(repr, keys))


def _key(ids: pl.Series) -> pl.Series:
    """Return the keys of a join as canonical texts, so that 7 of one side finds "7" of the other.

    Raises:
        DataError: a key is a fraction, or no single value.

    """
    return to_ids(ids.name, ids).cast(pl.String).alias(_KEY)
