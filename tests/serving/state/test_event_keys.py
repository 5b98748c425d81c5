"""Keys of events: where each value comes from."""

from typing import Any

import numpy as np
import polars as pl

from crosstower.data.counters.keys import hash_of
from crosstower.serving.state.counted_events import CountedEvent
from crosstower.serving.state.event_keys import EventKeys, TableKeys
from crosstower.serving.state.event_log import event_rows
from crosstower.serving.state.events import Event


def stored(**more: Any) -> CountedEvent:
    """Return an event as the state stores it."""
    row = event_rows([Event(event_id="a", type="click", **more)])[0]
    return CountedEvent(1, row[1], row[2], row[4], row[5], row[8], row[9])


def hashed(*values: Any) -> list[int]:
    return [hash_of(value) for value in values]


def test_users_and_items_are_found_however_they_are_written() -> None:
    keys = EventKeys(["who", "what"], user=["who"], item=["what"])
    texts = ["u1", 'a"b', "back\\slash", "é", " 7.0 ", "007", "true", 7, "", None]
    events = [stored(user=text, item_id=text) for text in texts]
    for some in (events, events[3:]):  # with and without escapes in their JSON
        parts = keys.of(some)
        wanted = hashed(*texts[len(texts) - len(some) :])
        assert parts.own["who"].tolist() == parts.whole["what"].tolist() == wanted


def test_other_columns_are_those_of_the_query_then_of_the_attributes() -> None:
    keys = EventKeys(["place"], user=[], item=[])
    events = [
        stored(query={"place": "home"}, attributes={"place": "away"}),
        stored(query={"other": 1}, attributes={"place": 7}),
        stored(query={"place": None}, attributes={"place": "away"}),
        stored(query={"place": ["a", "b"]}),
        stored(),
    ]
    assert keys.of(events).own["place"].tolist() == hashed("home", 7, "away", None, None)


def test_columns_of_items_fill_what_an_event_lacks() -> None:
    def of_items(ids: pl.Series) -> Any:
        topics = {"7": "x", "8": None}
        found = [topics.get(one) for one in ids]
        hashes = np.array([hash_of(one) for one in found], dtype=np.uint64)
        return np.array([one in topics for one in ids]), {"topic": hashes}

    keys = EventKeys(["topic"], user=[], item=["film"], of_items=of_items)
    events = [
        stored(item_id=7),
        stored(item_id=7, query={"topic": "own"}),
        stored(item_id=8),
        stored(item_id=9),
        stored(),
    ]
    parts = keys.of(events)
    assert parts.own["topic"].tolist() == hashed(None, "own", None, None, None)
    assert parts.whole["topic"].tolist() == hashed("x", "own", None, None, None)
    assert parts.orphaned.tolist() == [False, False, False, True, False]
    assert parts.of_items == {"topic"}


def test_a_joined_table_replaces_what_events_say_as_in_training() -> None:
    users = TableKeys(pl.DataFrame({"user": [1, 2, None], "city": ["a", None, "n"]}), "user")
    cities = TableKeys(pl.DataFrame({"city": ["a"], "country": ["fr"]}), "city")
    keys = EventKeys(["country"], user=["user"], item=[], tables=[users, cities])
    events = [
        stored(user="1"),
        stored(user=2, query={"country": "de", "city": "a"}),
        stored(user=3),
        stored(query={"country": "de"}),
    ]
    assert keys.of(events).whole["country"].tolist() == hashed("fr", None, None, None)


def test_a_column_that_items_join_is_not_read_from_events() -> None:
    keys = EventKeys(["topic"], user=[], item=["film"], joined=["topic"])
    assert keys.of([stored(query={"topic": "own"})]).whole["topic"].tolist() == hashed(None)


def test_a_column_that_the_training_log_renames_is_read_from_there_alone() -> None:
    users = TableKeys(pl.DataFrame({"user": [1], "place": ["of the table"]}), "user")
    renamed = {"place": "attributes.where"}
    keys = EventKeys(["place"], user=["user"], item=[], renamed=renamed, tables=[users])
    events = [
        stored(user=1, query={"place": "a", "where": "b"}, attributes={"where": "c"}),
        stored(user=1, attributes={"place": "d"}),
    ]
    assert keys.of(events).whole["place"].tolist() == hashed("c", None)
    assert keys.reads_properties


def test_an_empty_table_has_no_keys() -> None:
    table = TableKeys(pl.DataFrame(schema={"user": pl.Int64, "city": pl.String}), "user")
    keys = EventKeys(["city"], user=["user"], item=[], tables=[table])
    assert keys.of([stored(user=1)]).own["city"].tolist() == hashed(None)
