"""Counts of events for the ranker of requests, as of the instant of each request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from crosstower.data.counters.count_files import FOLDER, CountsAtEnd, load_counts
from crosstower.data.counters.keys import hash_of, hashes_of, keys_of
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.errors import DataError, RunError
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.schema import Schema
from crosstower.training.run import Run
from crosstower.values.arrays import Indices
from crosstower.values.hashing import U64


@dataclass(frozen=True)
class Counted:
    """Counts of candidates.

    Args:
        time: instant of the counts, in nanoseconds since 1970.
        counts: `[C]` by count.

    """

    time: int
    counts: Mapping[EventCount, Indices]

    def take(self, at: Indices) -> Counted:
        """Return the counts of the candidates at `at`, in that order."""
        return Counted(self.time, {count: n[at] for count, n in self.counts.items()})

    def columns(self) -> list[pl.Series]:
        """Return the raw columns of a ranker that hold the counts."""
        return [pl.Series(count.column, numbers) for count, numbers in self.counts.items()]


class OnlineCounters:
    """Counts the events that the counters of a ranker are about; not safe for several threads.

    A server takes new events into `counts`.

    Args:
        schema: of the ranker.
        counts: so far, for each count of the schema.
        now: the clock, in nanoseconds since 1970; by default in whole microseconds, as events.

    """

    def __init__(
        self,
        schema: Schema,
        counts: Mapping[EventCount, WindowCounts],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000 * 1_000,
    ) -> None:
        self.names = {name: c.counts() for name, c in schema.columns.items() if c.counts()}
        self.counts, self.now, self._latest = counts, now, 0
        self.keys = tuple(dict.fromkeys(key for count in schema.counts() for key in count.by))

    @classmethod
    def of(cls, run: Run) -> Self:
        """Return the counts of a ranking run at the end of its log.

        Raises:
            RunError: they are missing or damaged.

        """
        schema = run.recipe.schema_
        return cls(schema, counts_of(run).counts if schema.counts() else {})

    def instant(self) -> int:
        """Return the instant of a request, in nanoseconds since 1970; it never goes back."""
        if self.counts:
            self._latest = max(self._latest, self.now())
        return self._latest

    def at(self, parts: Mapping[str, U64], rows: int, instant: int) -> Counted:
        """Return the counts of candidates.

        Args:
            parts: hashes `[C]`, or `[1]` for all candidates, by key column.
            rows: C.
            instant: in nanoseconds since 1970; instants must not go back.

        """
        keys = {
            by: keys_of([parts[name] for name in by])
            for by in dict.fromkeys(count.by for count in self.counts)
        }
        return Counted(
            instant,
            {
                count: np.broadcast_to(numbers.at(keys[count.by], instant), rows)
                for count, numbers in self.counts.items()
            },
        )

    def of_rows(self, frame: pl.DataFrame) -> Counted:
        """Return the counts of whole rows, which have all key columns, as of now.

        Raises:
            DataError: a key cannot be an id.

        """
        return self.at(parts_of(frame, self.keys), frame.height, self.instant())

    def shown(self, counted: Counted, row: int) -> dict[str, list[int]]:
        """Return the counts of a candidate by column; a ratio has two, numerator first."""
        return {
            name: [int(counted.counts[count][row]) for count in counts]
            for name, counts in self.names.items()
        }


def counts_of(run: Run) -> CountsAtEnd:
    """Read the counts of a ranking run at the end of its event logs.

    Raises:
        RunError: they are missing or damaged.

    """
    found = load_counts(run.folder / FOLDER)
    if found is None:
        raise RunError(
            f"{run.folder / FOLDER}: missing, but the ranker reads counts of events; train the run"
            " again, and make the bundle again"
        )
    return found


def parts_of(frame: pl.DataFrame, names: Iterable[str]) -> dict[str, U64]:
    """Return the hashes of columns that a frame has, one part of a key each.

    Raises:
        DataError: a value cannot be an id.

    """
    return {name: hashes_of(frame[name]) for name in names if name in frame.columns}


def query_parts(row: Mapping[str, object], names: Sequence[str]) -> dict[str, U64]:
    """Return the hashes `[1]` of the key columns of a query.

    Raises:
        DataError: a value cannot be an id.

    """
    found: dict[str, U64] = {}
    for name in names:
        try:
            found[name] = np.array([hash_of(row.get(name))], dtype=np.uint64)
        except DataError as error:
            raise DataError(f"column '{name}': {error}") from None
    return found
