"""Histories of rows at any time: the values of the events before it, by key."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from crosstower.data.counters.keys import NO_KEY
from crosstower.data.counters.point_in_time import Times
from crosstower.values.hashing import U64
from crosstower.values.instants import SECOND


class EarlierValues:
    """Values of a log of events by key and time; those of equal keys and times keep their order.

    >>> values = EarlierValues(
    ...     np.array([5, 6, 5], np.uint64), np.array([20, 20, 10]), pl.Series(["b", "c", "a"])
    ... )
    >>> values.at(np.array([5, 5, 7], np.uint64), np.array([20, 21, 99]), length=9).to_list()
    [['a'], ['a', 'b'], []]

    Args:
        keys: `[E]` of the events; those without a key are ignored.
        times: `[E]` nanoseconds since 1970, in any order.
        values: `[E]` texts of ids; missing ones are ignored.

    """

    def __init__(self, keys: U64, times: Times, values: pl.Series) -> None:
        there = (keys != NO_KEY) & values.is_not_null().to_numpy()
        if not there.all():
            keys, times, values = keys[there], times[there], values.filter(pl.Series(there))
        self._keys, key_places = np.unique(keys, return_inverse=True)
        self._times, time_places = np.unique(times, return_inverse=True)
        # Places of key and time in one number, so that one sorted array answers both.
        places = key_places * len(self._times) + time_places
        order = np.argsort(places, kind="stable")
        self._places, self._values = places[order], values.gather(order)

    def at(self, keys: U64, times: Times, *, length: int) -> pl.Series:
        """Return the last `length` values before each row's time, as lists `[B]`, oldest first.

        Args:
            keys: `[B]`; 0 for a row that lacks a key, whose list is empty.
            times: `[B]` of the rows, nanoseconds since 1970.
            length: maximum length of a list.

        """
        offsets, chosen = self._chosen(keys, times, length)
        values = self._values.gather(chosen).to_arrow()
        return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), values)))

    def ages(self, keys: U64, times: Times, *, length: int) -> pl.Series:
        """Return the whole seconds from the events of `at` to each row, as lists `[B]`."""
        offsets, chosen = self._chosen(keys, times, length)
        events = self._times[self._places[chosen] % max(len(self._times), 1)] // SECOND
        ages = pa.array(np.repeat(times // SECOND, np.diff(offsets)) - events)
        return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(pa.array(offsets), ages)))

    def _chosen(self, keys: U64, times: Times, length: int) -> tuple[Times, Times]:
        """Return the offsets `[B + 1]` of the rows' lists, and the places of their values."""
        begin = end = np.zeros(len(keys), np.int64)
        if len(self._keys):
            place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
            first = place * len(self._times)
            end = np.searchsorted(self._places, first + np.searchsorted(self._times, times))
            begin = np.maximum(np.searchsorted(self._places, first), end - length)
            begin = np.where(self._keys[place] == keys, begin, end)
        offsets = np.concatenate([[0], np.cumsum(end - begin)])
        return offsets, np.repeat(begin - offsets[:-1], end - begin) + np.arange(offsets[-1])
