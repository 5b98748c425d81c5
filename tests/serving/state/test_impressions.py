from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.events import Event
from crosstower.serving.state.impressions import impression_events, logged_lists, rewards_of
from crosstower.serving.state.state import State


def shown(item_id: Any, rank: int, *, drawn_rank: int | None = None) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "rank": rank,
        "score": 1.0 / rank,
        "propensity": 0.5 / rank,
        "conditional_propensity": 0.25,
        "drawn_rank": rank if drawn_rank is None else drawn_rank,
    }


def a_list(request_id: str = "r", **more: Any) -> list[Event]:
    given = {"user": "u7", "query": {"device": "tv"}, "explore": {"kind": "epsilon"}}
    return impression_events(
        [shown("a", 1, drawn_rank=2), shown("b", 2, drawn_rank=1)],
        request_id=request_id,
        version="v1",
        candidates=["a", "b", "c"],
        **{**given, **more},
    )


@pytest.fixture
def state(home: str) -> Iterator[State]:
    with State.open(home) as state:
        yield state


def test_what_is_logged_is_read_back(state: State) -> None:
    state.add_events([*a_list("first"), *a_list("second", user=3, query={})])
    first, second = logged_lists(state.database, after=None, until=None)
    assert (first.request_id, first.user, first.query) == ("first", "u7", {"device": "tv"})
    assert (second.request_id, second.user, second.query) == ("second", 3, {})
    assert list(first.candidates) == ["a", "b", "c"]
    found = [(s.item_id, s.rank, s.drawn_rank, s.propensity) for s in first.shown]
    assert found == [("a", 1, 2, 0.5), ("b", 2, 1, 0.25)]


def test_a_request_id_that_is_sent_twice_is_logged_twice(state: State) -> None:
    assert state.add_events(a_list("same")).stored == 3
    assert state.add_events(a_list("same")).stored == 3
    assert len(logged_lists(state.database, after=None, until=None)) == 2


def test_events_of_clients_are_no_lists_of_the_server(state: State) -> None:
    state.add_events(
        [
            Event(event_id="x", type="recommendation", attributes={"candidates": "all"}),
            Event(event_id="x/1", type="impression", item_id="a", rank=1),
            Event(event_id="y", type="impression", item_id="a", rank=1),
        ]
    )
    assert logged_lists(state.database, after=None, until=None) == []
    state.add_events(
        [
            Event(event_id="z", type="recommendation", attributes={"candidates": ["a"]}),
            Event(event_id="z/1", type="impression", item_id="a", attributes={"score": 1}),
        ]
    )
    (found,) = logged_lists(state.database, after=None, until=None)
    assert found.shown == []


def test_the_export_has_a_column_per_property(state: State, home: str, tmp_path: Path) -> None:
    state.add_events(a_list())
    export_events(home, tmp_path / "out.parquet", types=["impression"])
    rows = pl.read_parquet(tmp_path / "out.parquet")
    columns = ["request_id", "user", "item_id", "rank", "query.device", "attributes.propensity",
               "attributes.drawn_rank", "attributes.version"]  # fmt: skip
    assert rows.select(columns).rows() == [
        ("r", "u7", "a", 1, "tv", 0.5, 2, "v1"),
        ("r", "u7", "b", 2, "tv", 0.25, 1, "v1"),
    ]


def test_a_reward_is_the_value_of_the_last_event_or_1(state: State) -> None:
    def event(number: int, **more: Any) -> Event:
        return Event(event_id=f"e{number}", type="rating", **more)

    state.add_events(
        [
            event(1, request_id="r", item_id="a", value=2.0),
            event(2, request_id="r", item_id="a", value=4.5),
            event(3, request_id="r", item_id=9),
            event(4, item_id="a", value=1.0),
            event(5, request_id="r"),
        ]
    )
    assert rewards_of(state.database, "rating") == {("r", "a"): 4.5, ("r", 9): 1.0}
    assert rewards_of(state.database, "click") == {}
