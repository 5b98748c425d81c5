from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.serving.state import event_log
from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.event_frame import events_frame
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def stored(home: str, *given: dict[str, Any]) -> State:
    state = State.open(home)
    rows = [{"event_id": str(n), "type": "click", "time": DAY} | g for n, g in enumerate(given)]
    state.add_events([Event(**row) for row in rows])
    return state


def test_it_has_the_columns_and_values_of_an_export(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "_CHUNK", 3)
    given: list[dict[str, Any]] = [
        {
            "user": n,
            "item_id": f"i{n}",
            "rank": n + 1,
            "value": n / 2,
            "request_id": "r",
            "query": {"device": "tv", "n": n, 'odd "key"': n} if n % 2 else None,
            "attributes": {"n": 0.5, "list": ["a"]},
        }
        for n in range(8)
    ]
    keys = ["device", "n", 'odd "key"', "list", "absent"]
    with stored(home, *given, {"type": "view", "query": {"n": "text"}}) as state:
        found = events_frame(state, ["click"], keys)
    out = tmp_path / "out.parquet"
    export_events(home, out, types=["click"])
    exported = pl.read_parquet(out).drop("query", "attributes")
    assert found.height == 8
    assert found.select(exported.columns).equals(exported)
    assert set(found.columns) == set(exported.columns)


def test_ids_and_values_of_a_key_are_text_if_one_is(home: str) -> None:
    given = [{"user": 1, "query": {"n": 1, "m": 2}}, {"user": "b", "query": {"n": "x", "m": 0.5}}]
    with stored(home, *given) as state:
        found = events_frame(state, ["click"], ["n", "m"])
    assert found["user"].to_list() == ["1", "b"]
    assert found["query.n"].to_list() == ["1", "x"]
    assert found["query.m"].to_list() == [2.0, 0.5]


def test_values_without_a_common_type_are_text(home: str) -> None:
    sizes: list[Any] = ["tv", 7, 7.0, True, 2.5, {"a": 1}, ["é"], "", None]
    tags: list[Any] = [["a"], [7, True], []]
    given = [{"query": {"size": size}} for size in sizes]
    given += [{"attributes": {"tags": tag}} for tag in tags]
    with stored(home, *given) as state:
        found = events_frame(state, ["click"], ["size", "tags", "null"])
    texts = ["tv", "7", "7", "true", "2.5", '{"a": 1}', '["é"]', None, None]
    assert found["query.size"].to_list() == [*texts, None, None, None]
    assert found["attributes.tags"].to_list() == [*[None] * 9, ["a"], ["7", "true"], []]


def test_no_events_are_an_empty_frame(home: str) -> None:
    with stored(home, {}) as state:
        found = events_frame(state, ["view"], ["n"])
    assert found.height == 0
    assert {"event_id", "type", "time", "user", "item_id"} <= set(found.columns)
