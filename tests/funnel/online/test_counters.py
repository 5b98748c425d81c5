"""Counts of requests: keys, instants, and what is shown."""

import numpy as np
import polars as pl
import pytest

from crosstower.data.counters.keys import hash_of, hashes_of, keys_of
from crosstower.data.counters.window_counts import WindowCounts
from crosstower.errors import DataError
from crosstower.funnel.online.counters import OnlineCounters, parts_of, query_parts
from crosstower.recipe.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "columns": {
            "taste": {
                "kind": "counter",
                "event": "click",
                "per": "view",
                "by": ["user", "topic"],
                "window": 64,
            },
            "busy": {"kind": "counter", "event": "click", "by": "user", "window": 64},
        },
        "tasks": {"liked": "binary"},
    }
)


class Clock:
    """A clock that a test sets."""

    time = 0

    def __call__(self) -> int:
        return self.time


def opened(clock: Clock) -> OnlineCounters:
    """Return counts of one click and two views of user 1 on topic x, at 10 s."""
    counts = {count: WindowCounts(count) for count in SCHEMA.counts()}
    for count, numbers in counts.items():
        times = [10 * 10**9] * (2 if count.events == ("view",) else 1)
        values = {"user": "1", "topic": "x"}
        key = keys_of([hashes_of(pl.Series([values[name]])) for name in count.by])
        numbers.add(np.repeat(key, len(times)), times)
    return OnlineCounters(SCHEMA, counts, now=clock)


def test_parts_of_the_query_and_of_candidates_make_one_key() -> None:
    counters = opened(Clock())
    assert counters.keys == ("user", "topic")
    parts = query_parts({"user": 1.0, "device": "tv"}, ["user"])
    parts |= parts_of(pl.DataFrame({"topic": ["x", "y", None], "price": [1, 2, 3]}), ["topic"])
    found = counters.at(parts, 3, 10 * 10**9 + 1)
    assert [counters.shown(found, row) for row in range(3)] == [
        {"taste": [1, 2], "busy": [1]},
        {"taste": [0, 0], "busy": [1]},
        {"taste": [0, 0], "busy": [1]},
    ]
    assert counters.shown(found.take(np.array([1, 0])), 1)["taste"] == [1, 2]
    columns = {series.name: series.to_list() for series in found.columns()}
    assert columns == {
        count.column: [1, 1, 1]
        if count.by == ("user",)
        else [1 + (count.events == ("view",)), 0, 0]
        for count in SCHEMA.counts()
    }


def test_instants_never_go_back() -> None:
    clock, found = Clock(), list[int]()
    counters = opened(clock)
    for clock.time in (5, 3, 9):
        found.append(counters.instant())
    assert found == [5, 5, 9]


def test_rows_are_counted_as_of_now() -> None:
    clock = Clock()
    counters, rows = opened(clock), pl.DataFrame({"user": ["1", "2"], "topic": ["x", "x"]})
    for clock.time, expected in ((10 * 10**9, [0, 0]), (11 * 10**9, [1, 0])):
        found = counters.of_rows(rows)
        assert found.time == clock.time
        assert [counters.shown(found, row)["busy"][0] for row in range(2)] == expected


def test_a_query_with_a_list_as_a_key_is_refused() -> None:
    with pytest.raises(DataError, match=r"column 'user': expected"):
        query_parts({"user": [1, 2]}, ["user"])
    assert query_parts({}, ["user"])["user"].tolist() == [hash_of(None)]


def test_a_ranker_without_counters_needs_no_clock() -> None:
    schema = Schema.model_validate({"columns": {"a": "numeric"}, "tasks": {"b": "binary"}})
    counters = OnlineCounters(schema, {}, now=lambda: 1 // 0)
    assert counters.instant() == 0
    assert counters.of_rows(pl.DataFrame({"a": [1.0]})).columns() == []
