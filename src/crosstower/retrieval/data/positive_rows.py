"""Reading of a retrieval recipe's positives: cleaned, split, sorted by user and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.cleaner import Cleaner
from crosstower.data.progress import OnProgress
from crosstower.data.sources.joins import JoinMatch, join_matches
from crosstower.data.sources.source import FilteredSource, Source, require_columns
from crosstower.data.split import Splitter, splitter_of
from crosstower.data.times.clock import Clock
from crosstower.data.times.clocks import clocks_of
from crosstower.errors import DataError
from crosstower.recipe.history_times import timed_history
from crosstower.recipe.own_columns import ROW, SPLIT, raw_name, time_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.retrieval import Retrieval
from crosstower.recipe.split import order_of
from crosstower.recipe.times import ORDER
from crosstower.retrieval.data.items import ItemTable, read_items
from crosstower.retrieval.data.row_items import TrainingRows, canonical_ids, items_of_rows
from crosstower.retrieval.data.tower_columns import TowerColumns, retrieval_section_of
from crosstower.values.arrays import Indices
from crosstower.values.instants import SECOND
from crosstower.values.lookup import places_in


class NoPositivesError(DataError):
    """No row fulfils `retrieval.where`."""


@dataclass(frozen=True)
class PositiveRows:
    """Rows by user and time. `frame` has the query columns, cleaned, and raw ones under `raw_name`.

    `user` and `item` `[R]` are positions in `users` and `items`, `split` `[R]` positions in
    `SPLITS`. `clocks` read the time columns of split and order; `joins` counts matched rows.
    `until` is the time of the last row, None if there are no users or no times. `times` `[R]` are
    in seconds since 1970; None like `until`.
    """

    frame: pl.DataFrame
    user: Indices
    item: Indices
    split: NDArray[np.int8]
    users: pl.Series
    items: ItemTable
    skipped: Counter[str]
    clocks: tuple[Clock, ...] = ()
    joins: tuple[JoinMatch, ...] = ()
    until: datetime | None = None
    times: Indices | None = None

    def take(self, rows: Indices) -> pl.DataFrame:
        """Return the frame's rows at some positions."""
        return self.frame[rows]


def read_positives(
    recipe: Recipe,
    source: Source,
    sides: TowerColumns,
    on_progress: OnProgress,
    *,
    items: ItemTable | None = None,
) -> PositiveRows:
    """Read all rows that are positives; `items` replaces the recipe's item table.

    Raises:
        NoPositivesError: no row is a positive.
        DataError: a column is missing, a row has no user or no item, or the item table lacks an
            item (unless bad rows are skipped).

    """
    section, every = retrieval_section_of(recipe), source
    if section.where is not None:
        source = FilteredSource(source, section.where)
        if next(iter(source.chunks([section.item])), None) is None:
            raise NoPositivesError(f"{source.name}: no row is a positive; change retrieval.where")
    clock_of = clocks_of(recipe.data, source)
    splitter = splitter_of(recipe, source, clock_of)
    time = section.time or order_of(recipe.data.split)
    order = () if time is None or section.user is None else (clock_of(time),)
    cleaner = _cleaner(recipe, sides, splitter, order)
    frame = _read(source, cleaner, splitter, on_progress)
    joins = join_matches(source)
    skipped = cleaner.skipped
    frame = _with_ids(frame, section, recipe.data.on_bad_rows)
    if items is None:
        items = _items(recipe, every, sides, frame, splitter=splitter, skipped=skipped)
    frame = _known(frame, items, section, recipe.data.on_bad_rows, skipped)
    by_user = [] if section.user is None else [raw_name(section.user)]
    frame = frame.sort([*by_user, *(time_name(clock.column) for clock in order), ROW])
    users, user = _users(frame, section)
    place = items.places_of(frame[raw_name(section.item)])
    split = frame[SPLIT].to_numpy()
    return PositiveRows(
        frame,
        user,
        place,
        split,
        users,
        items,
        skipped,
        tuple(cleaner.clocks),
        joins,
        _until(frame, order),
        times_of(recipe, frame, order),
    )


def _cleaner(
    recipe: Recipe, sides: TowerColumns, splitter: Splitter, order: tuple[Clock, ...]
) -> Cleaner:
    section, query = retrieval_section_of(recipe), recipe.schema_.part(list(sides.query))
    raw = [section.item, section.user, section.segment, *query.sources(), *splitter.columns]
    extras = list(dict.fromkeys(name for name in raw if name is not None))
    clocks = list(dict.fromkeys([*splitter.clocks, *order]))
    return Cleaner(query, extras, on_bad_rows=recipe.data.on_bad_rows, clocks=clocks)


def _until(frame: pl.DataFrame, order: tuple[Clock, ...]) -> datetime | None:
    """Return the time of the last row, to the microsecond; None if the rows have no time."""
    for clock in order:
        last: Any = frame[time_name(clock.column)].max()
        if clock.unit != ORDER and last is not None:
            return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=last // 1_000)
    return None


def times_of(recipe: Recipe, frame: pl.DataFrame, clocks: Sequence[Clock] = ()) -> Indices | None:
    """Return the times of rows in seconds since 1970; None without users or times.

    Args:
        recipe: with a retrieval section.
        frame: cleaned rows with their time.
        clocks: that have read it.

    Raises:
        DataError: it only orders the rows, but the history reads times.

    """
    section = retrieval_section_of(recipe)
    column = section.time or order_of(recipe.data.split)
    if column is None or section.user is None:
        return None
    if not any(clock.unit == ORDER for clock in clocks if clock.column == column):
        return frame[time_name(column)].to_numpy() // SECOND
    if timed_history(recipe.schema_, section.history.column):
        raise DataError(
            f"column '{column}': holds numbers that only order its rows, but"
            f" schema.columns.{section.history.column}.times needs times; set data.times.{column}"
            " to their unit (s, ms, us, ns) or their pattern, or remove times"
        )
    return None


def _read(
    source: Source, cleaner: Cleaner, splitter: Splitter, on_progress: OnProgress
) -> pl.DataFrame:
    require_columns(source, cleaner.sources())
    frames: list[pl.DataFrame] = []
    rows = 0
    for chunk in source.chunks(cleaner.sources()):
        frame = cleaner.clean(chunk)
        frames.append(frame.with_columns(pl.Series(SPLIT, splitter.assign(frame))))
        rows += chunk.frame.height
        on_progress("reading", rows)
    return pl.concat(frames, how="vertical_relaxed")


def _with_ids(frame: pl.DataFrame, section: Retrieval, on_bad_rows: str) -> pl.DataFrame:
    """Return rows with canonical user and item ids; null for invalid ones."""
    for name in (section.user, section.item):
        if name is not None:
            ids = canonical_ids(name, frame[raw_name(name)], on_bad_rows)
            frame = frame.with_columns(ids.alias(raw_name(name)))
    return frame


def _items(
    recipe: Recipe,
    source: Source,
    sides: TowerColumns,
    frame: pl.DataFrame,
    *,
    splitter: Splitter,
    skipped: Counter[str],
) -> ItemTable:
    """Return the item table, or all items with columns of their last training row."""
    section, schema = retrieval_section_of(recipe), recipe.schema_.part(list(sides.item))
    bad_rows = (recipe.data.on_bad_rows, skipped)
    if section.items is not None:
        dialect, item = recipe.data.csv, section.item
        return read_items(section.items, schema, item=item, dialect=dialect, bad_rows=bad_rows)
    trained = frame.filter(pl.col(SPLIT) == 0)[ROW].to_numpy()
    rows = TrainingRows(trained, splitter, section.where)
    return items_of_rows(source, schema, section, rows, bad_rows)


def _known(
    frame: pl.DataFrame,
    items: ItemTable,
    section: Retrieval,
    on_bad_rows: str,
    skipped: Counter[str],
) -> pl.DataFrame:
    """Return the rows that have a user and an item of the item table."""
    wrong = {section.item: items.places_of(frame[raw_name(section.item)]) < 0}
    if section.user is not None:
        wrong[section.user] = frame[raw_name(section.user)].is_null().to_numpy()
    for name, bad in wrong.items():
        if bad.any() and on_bad_rows == "error":
            first = int(np.argmax(bad))
            value = frame[raw_name(name)][first]
            what = f"{name} is missing" if value is None else f"{name} {value!r} is not in the item"
            raise DataError(
                f"{what}{' table' if value is not None else ''}: {int(bad.sum()):,} of"
                f" {frame.height:,} rows, first row {frame[ROW][first]}; add it, drop those rows,"
                " or set data.on_bad_rows: skip"
            )
        if bad.any():
            skipped[name] += int(bad.sum())
    return frame.filter(~pl.Series(np.logical_or.reduce(list(wrong.values()))))


def _users(frame: pl.DataFrame, section: Retrieval) -> tuple[pl.Series, Indices]:
    """Return all users, sorted, and each row's position among them; without users, rows are."""
    if section.user is None:
        return pl.Series("row", np.arange(frame.height)), np.arange(frame.height)
    ids = frame[raw_name(section.user)]
    users = ids.unique().sort()
    return users, places_in(users, ids)
