"""The ages of the events of a ranker's histories: which columns hold them, and how requests do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from crosstower.data.counters.list_ages import ages_at
from crosstower.data.sources.frames import series_of
from crosstower.errors import DataError
from crosstower.recipe.event_list import TimedList
from crosstower.recipe.schema import Schema
from crosstower.recipe.times import TimeFormat


@dataclass(frozen=True)
class HistoryAges:
    """Raw columns with the ages of histories, by the raw column of the history.

    `lists` are the lists of times from which rows have them, and `formats` those of times.
    """

    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    lists: tuple[TimedList, ...] = ()
    formats: Mapping[str, TimeFormat] = field(default_factory=dict[str, TimeFormat])

    @staticmethod
    def of(schema: Schema, formats: Mapping[str, TimeFormat]) -> HistoryAges:
        """Return the ages that a ranker reads.

        Args:
            schema: of the ranker.
            formats: of time columns, `data.times` of its recipe.

        """
        found = [(c.sources(n), c.ages_column(n)) for n, c in schema.columns.items()]
        columns = {sources[0]: column for sources, column in found if column is not None}
        return HistoryAges(columns, schema.timed_lists(), formats)

    @property
    def times(self) -> list[str]:
        """The columns with lists of times, which requests may give."""
        return [one.times for one in self.lists]

    def without(self, names: Iterable[str]) -> list[str]:
        """Return raw columns without those of ages, which no input contains."""
        ages = set(self.columns.values())
        return [name for name in names if name not in ages]

    def owner(self, name: str) -> str | None:
        """Return the history whose ages a column holds, None for another column."""
        return next((column for column, ages in self.columns.items() if ages == name), None)

    def of_query(self, row: Mapping[str, Any], now: int) -> dict[str, Any]:
        """Return a query with the ages of the histories that it gives itself.

        Args:
            row: data columns.
            now: the time of the request, in seconds since 1970.

        Raises:
            DataError: a list of times cannot be read, or is given without its history.

        """
        for one in self.lists:
            if one.times in row and one.column not in row:
                raise DataError(
                    f"column '{one.times}': holds the times of '{one.column}', which the query"
                    f" lacks; give both, or leave '{one.times}' out"
                )
        found = dict(row) | {ages: None for column, ages in self.columns.items() if column in row}
        given = [one for one in self.lists if one.column in row and one.times in row]
        for one in given:
            frame = pl.DataFrame([series_of(n, [row[n]]) for n in (one.column, one.times)])
            (ages,) = ages_at([one], frame, self.formats, now)
            found[one.ages] = ages[0].to_list()
        return found

    def of_rows(self, frame: pl.DataFrame, now: int) -> list[pl.Series]:
        """Return the ages of the histories of rows `[B]`; null for those without times.

        Args:
            frame: `[B]`, raw columns.
            now: the time of the request, in seconds since 1970.

        Raises:
            DataError: a list of times cannot be read.

        """
        listed = ages_at(self.lists, frame, self.formats, now)
        others = set(self.columns.values()) - {series.name for series in listed}
        nothing = pl.Series([None], dtype=pl.List(pl.Int64)).new_from_index(0, frame.height)
        return [*listed, *(nothing.alias(name) for name in sorted(others))]
