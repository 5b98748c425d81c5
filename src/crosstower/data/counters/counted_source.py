"""Rows with the counts and lists of earlier events added, each as of the time of its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from crosstower.data.counters.earlier_values import EarlierValues
from crosstower.data.counters.event_log import event_clock, read_events
from crosstower.data.counters.keys import NO_KEY, hashes_of, keys_of
from crosstower.data.counters.list_ages import list_ages, list_clock
from crosstower.data.counters.matches import CountMatch
from crosstower.data.counters.point_in_time import PointInTimeCounts
from crosstower.data.reading import source_of, training_source
from crosstower.data.sources.source import Chunk, Source, require_columns
from crosstower.data.times.clock import Clock
from crosstower.errors import DataError
from crosstower.recipe.counter_checks import require_time
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.event_list import EventList, TimedList
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.times import USUAL

_Added = EventCount | EventList | TimedList


@dataclass(frozen=True)
class EventHistory:
    """The events of a recipe's logs, read when they are first counted or listed.

    Args:
        recipe: with counters or histories.
        rows: the rows of the recipe, for `data.events: rows`.
        time: time column of the rows.

    """

    recipe: Recipe
    rows: Callable[[], Source]
    time: str

    @property
    def counts(self) -> dict[EventCount, PointInTimeCounts]:
        """The counts of all events.

        Raises:
            DataError: a log cannot be read, lacks a column, or has no event of a type that counts.

        """
        return self._read.counts

    @property
    def values(self) -> dict[EventList, EarlierValues]:
        """The values of all events; errors as those of `counts`."""
        return self._read.values

    @property
    def until(self) -> int | None:
        """Time of the last event of the logs, in nanoseconds since 1970; None without events."""
        return self._read.until

    @cached_property
    def _read(self) -> _Read:
        schema = self.recipe.schema_
        if not schema.event_inputs():
            return _Read({}, {}, None)
        events = read_events(self.recipe, self.rows, self.time)
        return _Read(
            {count: PointInTimeCounts(count, *events.of(count)) for count in schema.counts()},
            {found: EarlierValues(*events.listed(found)) for found in schema.event_lists()},
            events.until,
        )


@dataclass(frozen=True)
class _Read:
    """Counts and lists of the events of all logs."""

    counts: dict[EventCount, PointInTimeCounts]
    values: dict[EventList, EarlierValues]
    until: int | None


@dataclass(frozen=True)
class CountedSource:
    """Rows of `base` with a column per count and per list, named `column` of each.

    They are of the events before the row's time. In rows without a time, counts are null and lists
    empty. A list that the rows have already stays as it is, such as the history of a request.
    Ages of events are lists as well, of these events or from a list of times that the rows have.
    `found` holds the rows, and those with events, of the last complete pass; see `count_matches`.
    """

    base: Source
    history: EventHistory
    found: dict[str, tuple[int, int]] = field(
        default_factory=dict[str, tuple[int, int]], compare=False
    )

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.base.name

    def columns(self) -> list[str]:
        """Return the columns of the rows, and those of counts and lists."""
        return [*self.base.columns(), *self._added_columns]

    def chunks(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """Yield the rows of `base` in order; events are read only if a column needs them."""
        counts = {name: one for name, one in self._added_columns.items() if name in columns}
        if not counts:
            yield from self.base.chunks(columns)
            return
        keys = [k for one in counts.values() if not isinstance(one, TimedList) for k in one.by]
        lists = [
            n for o in counts.values() if isinstance(o, TimedList) for n in (o.column, o.times)
        ]
        time, kept = self.history.time, [name for name in columns if name not in counts]
        read = list(dict.fromkeys([*kept, *keys, *lists, time]))
        require_columns(self.base, read)
        totals = {name: np.zeros(2, np.int64) for name in counts}
        for chunk in self.base.chunks(read):
            added = self._added(chunk.frame, keys, counts)
            for series in added:
                sizes = series.list.len() if isinstance(series.dtype, pl.List) else series
                totals[series.name] += (len(series), int((sizes > 0).sum()))
            yield Chunk(
                chunk.frame.with_columns(added).select(columns),
                chunk.origin,
                chunk.first_row,
                chunk.index,
            )
        self.found.update({name: (int(total[0]), int(total[1])) for name, total in totals.items()})

    def over(self, base: Source) -> CountedSource:
        """Return the same counts for some of the rows; their times are read as those of all."""
        part = replace(self, base=base, found={})
        vars(part)["_clock"], vars(part)["_list_clocks"] = self._clock, self._list_clocks
        return part

    def _added(
        self, frame: pl.DataFrame, keys: Sequence[str], wanted: Mapping[str, _Added]
    ) -> list[pl.Series]:
        times = self._clock.read(frame[self.history.time])
        there, instants = times.is_not_null(), times.fill_null(0).to_numpy()
        hashes = {key: hashes_of(frame[key]) for key in keys}
        added = list[pl.Series]()
        for name, one in wanted.items():
            if isinstance(one, TimedList):
                added.append(list_ages(one, frame, self._list_clocks[one.times], times))
                continue
            whole = keys_of([hashes[key] for key in one.by])
            if isinstance(one, EventList):
                whole = np.where(there.to_numpy(), whole, np.uint64(NO_KEY))
                values = self.history.values[one]
                found = values.ages if name == one.ages else values.at
                added.append(found(whole, instants, length=one.length).alias(name))
            else:
                found = pl.Series(name, self.history.counts[one].at(whole, instants))
                added.append(found if there.all() else found.set(~there, None))
        return added

    @cached_property
    def _added_columns(self) -> dict[str, _Added]:
        schema, given = self.history.recipe.schema_, set(self.base.columns())
        added: dict[str, _Added] = {one.column: one for one in schema.counts()}
        for one in schema.event_lists():
            if one.column not in given:
                added[one.column] = one
            if one.ages is not None and one.ages not in given:
                if one.column in given:
                    raise DataError(
                        f"{self.name}: has the history '{one.column}', but not the times of its"
                        " events; leave the column out, so that it is read from data.events"
                    )
                added[one.ages] = one
        return added | {o.ages: o for o in schema.timed_lists() if o.ages not in given}

    @cached_property
    def _list_clocks(self) -> dict[str, Clock]:
        """Clocks of the lists of times, by column."""
        recipe = self.history.recipe
        wanted = [one for one in self._added_columns.values() if isinstance(one, TimedList)]
        how = recipe.data.times
        return {one.times: list_clock(self.base, one, how.get(one.times, USUAL)) for one in wanted}

    @cached_property
    def _clock(self) -> Clock:
        return event_clock(self.history.recipe, self.base, self.history.time)


def count_matches(source: Source) -> tuple[CountMatch, ...]:
    """Return how many rows of a source had events in its last complete pass, by count and list."""
    if not isinstance(source, CountedSource):
        return ()
    counts = source.history.recipe.schema_.event_inputs()
    found = {count: source.found[count.column] for count in counts if count.column in source.found}
    return tuple(CountMatch(count, rows, some) for count, (rows, some) in found.items())


def counted_training_source(recipe: Recipe, frame: Any = None) -> Source:
    """Return the rows that a recipe trains, validates and tests on, with their counts.

    Args:
        recipe: says which columns count which events.
        frame: as of `training_source`.

    Raises:
        RecipeError: nothing says where the rows or their events are, or which column is the time.
        DataError: the rows or a table to join cannot be read.

    """
    source = training_source(recipe.data, frame)
    found = counted(source, recipe)
    if not isinstance(found, CountedSource):
        return found
    return replace(found, history=replace(found.history, rows=lambda: source))


def counted_source_of(recipe: Recipe, frame: Any = None) -> Source:
    """Return rows to score, with the counts of the events of the recipe's logs.

    Args:
        recipe: of the run.
        frame: a path or a table; the rows of `data.path` if None.

    Raises:
        RecipeError: nothing says where the rows or their events are, or which column is the time.
        DataError: the rows or a table to join cannot be read.

    """
    return counted(source_of(recipe.data, frame), recipe)


def counted(source: Source, recipe: Recipe) -> Source:
    """Return rows to score with the counts and lists of the events of the recipe's logs.

    Raises:
        RecipeError: the recipe names no log of events, or no time column.

    """
    schema = recipe.schema_
    wanted = {one.column for one in schema.event_inputs()}
    wanted |= {one.ages for one in (*schema.event_lists(), *schema.timed_lists()) if one.ages}
    if not wanted or wanted <= set(source.columns()):
        return source  # nothing to read, or there already
    return CountedSource(source, event_history(recipe))


def event_history(recipe: Recipe) -> EventHistory:
    """Return the events of a recipe with counters or histories, for rows to score.

    Raises:
        RecipeError: the recipe names no log of events, or no time column.

    """

    def rows() -> Source:
        if not recipe.data.is_named:
            raise DataError(
                "data.events: the events are the rows of the training, a data frame that the run"
                " does not keep; give a log of events with --events LOG, or with"
                " run.with_events(LOG) in Python"
            )
        return training_source(recipe.data)

    return EventHistory(recipe, rows, require_time(recipe.schema_, recipe.data))
