"""Read the event logs of a recipe: counted events, their times and keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.cleaner import Cleaner
from crosstower.data.counters.keys import hashes_of, keys_of
from crosstower.data.counters.log_columns import EVENT_ID, TIME, TYPE, open_log, open_path
from crosstower.data.counters.point_in_time import Times
from crosstower.data.reading import joined
from crosstower.data.sources.joins import join_matches
from crosstower.data.sources.source import Source, require_columns
from crosstower.data.times.clock import Clock
from crosstower.data.times.clocks import fit_clock
from crosstower.errors import DataError, did_you_mean, notify
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList
from crosstower.recipe.events import IMPRESSION, EventLog
from crosstower.recipe.own_columns import label_name, raw_name
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema
from crosstower.recipe.tasks import Binary
from crosstower.recipe.times import ORDER, USUAL
from crosstower.values.columns import text_of
from crosstower.values.hashing import U64

_SHOWN, _MOST_TYPES = 20, 1_000


@dataclass(frozen=True)
class Events:
    """Events of all logs: `types` as places in `names`, and `times`.

    `hashes` are by key column, `values` the texts of columns whose values are listed.
    """

    names: tuple[str, ...]
    types: NDArray[np.int16]
    times: Times
    hashes: dict[str, U64]
    values: dict[str, pl.Series]
    until: int | None

    def of(self, count: EventCount) -> tuple[U64, Times]:
        """Return the keys and the times of the events that count."""
        chosen = self._chosen(count)
        return keys_of([self.hashes[name][chosen] for name in count.by]), self.times[chosen]

    def listed(self, wanted: EventList) -> tuple[U64, Times, pl.Series]:
        """Return the keys, the times and the values of the events that are listed."""
        chosen = self._chosen(wanted)
        keys = keys_of([self.hashes[name][chosen] for name in wanted.by])
        return keys, self.times[chosen], self.values[wanted.value].filter(pl.Series(chosen))

    def _chosen(self, wanted: EventCount | EventList) -> NDArray[np.bool_]:
        return np.isin(self.types, [self.names.index(name) for name in wanted.events])


def read_events(recipe: Recipe, rows: Callable[[], Source], time: str) -> Events:
    """Return the events that the columns of a recipe count or list.

    Takes about 10 bytes per event, 8 per column of keys and for event ids, and the text of each
    listed value. Of events with the same `event_id` the first counts.

    Args:
        recipe: with counters or histories, and logs.
        rows: the rows of the recipe, where they are a log.
        time: time column of the rows.

    Raises:
        DataError: a log cannot be read, lacks a column, or has no event of a type that counts.

    """
    lists = recipe.schema_.event_lists()
    wanted = (*recipe.schema_.counts(), *lists)
    names = tuple(dict.fromkeys(name for one in wanted for name in one.events))
    keys = tuple(dict.fromkeys(key for one in wanted for key in one.by))
    found = _Collector(names, keys, tuple(dict.fromkeys(one.value for one in lists)))
    for log in recipe.data.events:
        if not log.rows:
            found.add_log(recipe, log)
        elif log.path is None:
            found.add_rows(recipe, rows(), time)
        else:
            source = joined(open_path(log.path, recipe.data.csv), recipe.data)
            found.add_rows(recipe, source, time)
    found.check(recipe)
    return found.finish()


def event_clock(recipe: Recipe, source: Source, column: str) -> Clock:
    """Return the clock of a column whose times are compared with those of events.

    Raises:
        DataError: the column holds no times, or numbers that only order the rows.

    """
    data = recipe.data
    strict = data.on_bad_rows == "error"
    clock = fit_clock(source, column, data.times.get(column, USUAL), strict=strict)
    if clock.unit == ORDER:
        raise DataError(
            f"column '{column}': holds numbers that only order its rows, but counters and histories"
            f" need times; set data.times.{column} to their unit (s, ms, us, ns) or their pattern"
        )
    return clock


@dataclass
class _Collector:
    """Collects the events of logs, part by part."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    values: tuple[str, ...] = ()
    seen: dict[str, None] = field(default_factory=dict[str, None])
    until: int | None = None
    left_out: int = 0
    _parts: list[tuple[NDArray[Any], ...]] = field(default_factory=list[tuple[NDArray[Any], ...]])
    _texts: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame])

    def add_log(self, recipe: Recipe, log: EventLog) -> None:
        """Read a log of events."""
        base = open_path(str(log.path), recipe.data.csv)
        read = tuple(dict.fromkeys([*self.keys, *self.values]))
        source = open_log(base, log, recipe.data, read)
        clock, places = event_clock(recipe, base, log.time), range(len(self.names))
        for chunk in source.chunks(source.columns()):
            types = text_of(chunk.frame[TYPE])
            self._see(types.drop_nulls().unique())
            codes = types.replace_strict(self.names, places, default=-1, return_dtype=pl.Int16)
            self._add(chunk.frame, clock.read(chunk.frame[TIME]), codes)
        join_matches(source, "events")

    def _see(self, types: pl.Series) -> None:
        """Remember types for messages: a wrong column has as many as it has rows."""
        if len(self.seen) >= _MOST_TYPES:
            types = types.filter(types.is_in(self.names))
        self.seen |= dict.fromkeys(types.to_list())

    def add_rows(self, recipe: Recipe, source: Source, time: str) -> None:
        """Read rows with labels as a log."""
        binary = [n for n, task in recipe.schema_.tasks.items() if isinstance(task, Binary)]
        self.seen |= dict.fromkeys([IMPRESSION, *binary])
        counted = [name for name in binary if name in self.names]
        schema = recipe.schema_.with_tasks(counted).model_copy(update={"columns": {}})
        columns = list(dict.fromkeys([*self.keys, *self.values, time]))
        cleaner = Cleaner(schema, columns, on_bad_rows=recipe.data.on_bad_rows)
        require_columns(source, cleaner.sources())
        clock = event_clock(recipe, source, time)
        raw = {raw_name(name): name for name in columns}
        for chunk in source.chunks(cleaner.sources()):
            clean = cleaner.clean(chunk)
            for code, name in enumerate(self.names):
                frame = clean
                if name in counted:
                    frame = clean.filter(pl.col(label_name(name)) == 1)
                elif name != IMPRESSION:
                    continue
                frame = frame.select(*raw).rename(raw)
                codes = pl.repeat(code, frame.height, dtype=pl.Int16, eager=True)
                self._add(frame, clock.read(frame[time]), codes)

    def _add(self, frame: pl.DataFrame, times: pl.Series, codes: pl.Series) -> None:
        last = times.max()
        if isinstance(last, int):
            self.until = last if self.until is None else max(last, self.until)
        kept = (codes >= 0) & times.is_not_null()
        self.left_out += times.null_count()
        frame = frame.filter(kept)
        ids = np.zeros(frame.height, np.uint64)
        if EVENT_ID in frame.columns:
            ids = hashes_of(frame[EVENT_ID])
        hashes = [hashes_of(frame[key]) for key in self.keys]
        self._texts.append(pl.DataFrame([text_of(frame[name]).alias(name) for name in self.values]))
        self._parts.append(
            (codes.filter(kept).to_numpy(), times.filter(kept).to_numpy(), ids, *hashes)
        )

    def check(self, recipe: Recipe) -> None:
        """Reject types of events that no log has."""
        missing = next((name for name in self.names if name not in self.seen), None)
        if missing is None:
            return
        name = _reader_of(missing, recipe.schema_)
        shown = [*sorted(self.seen)[:_SHOWN], *(["..."] if len(self.seen) > _SHOWN else [])]
        raise DataError(
            f"data.events: no event of type '{missing}', which column '{name}' reads"
            f"{did_you_mean(missing, list(self.seen))}; the types are: {', '.join(shown)}"
        )

    def finish(self) -> Events:
        """Return the events, each id once."""
        if self.left_out:
            notify([f"data.events: events left out, as they have no time: {self.left_out:,}"])
        columns = zip(*self._parts, strict=True) if self._parts else ()
        types, times, ids, *hashes = (np.concatenate(parts) for parts in columns)
        values = {n: pl.concat([part[n] for part in self._texts]) for n in self.values}
        if ids.any():
            kept = _first(ids)
            types, times = types[kept], times[kept]
            hashes = [part[kept] for part in hashes]
            values = {name: texts.gather(kept) for name, texts in values.items()}
        by_column = dict(zip(self.keys, hashes, strict=True))
        return Events(self.names, types, times, by_column, values, self.until)


def _reader_of(missing: str, schema: Schema) -> str:
    """Return a column that reads events of a type."""
    lists = {found.column: found.events for found in schema.event_lists()}
    return next(
        name
        for name, column in schema.columns.items()
        if any(missing in count.events for count in column.counts())
        or missing in lists.get(next(iter(column.sources(name)), ""), ())
    )


def _first(ids: U64) -> NDArray[np.int64]:
    """Return the places of events without an id, and of the first event per id."""
    _, first = np.unique(ids, return_index=True)
    return np.sort(np.union1d(first, np.flatnonzero(ids == 0)))
