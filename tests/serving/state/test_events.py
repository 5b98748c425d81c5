import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from crosstower.errors import RecipeError
from crosstower.serving.state.events import Event


def event(**given: Any) -> Event:
    return Event.model_validate({"event_id": "a", "type": "click", **given})


def test_an_event_as_a_client_sends_it() -> None:
    body = """{"event_id": "a", "type": "click", "time": "2026-01-31T18:30:00+01:00",
        "request_id": "r", "user": 7, "item_id": "17", "rank": 1, "value": 2,
        "query": {"context": "home", "list": [1, null]}, "attributes": null}"""
    found = event(**json.loads(body))
    assert found == Event.model_validate_json(body)
    assert (found.user, found.item_id, found.value) == (7, "17", 2.0)
    assert found.query == {"context": "home", "list": [1, None]}
    assert found.time == datetime(2026, 1, 31, 17, 30, tzinfo=UTC)
    assert found.time.tzinfo is UTC


@pytest.mark.parametrize("given", [{}, {"time": None}])
def test_the_time_is_now_where_it_is_missing(given: dict[str, Any]) -> None:
    before = datetime.now(UTC)
    assert before <= event(**given).time <= datetime.now(UTC)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(RecipeError, match="cannot be changed"):
        event().type = "view"


def test_ids_keep_their_type_and_size() -> None:
    assert (event(user=2**80).user, event(user="1").user) == (2**80, "1")
    assert event(item_id=None).item_id is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"event_id": ""}, "at least 1 character"),
        ({"event_id": "x" * 129}, "at most 128 characters"),
        ({"event_id": 7}, "valid string"),
        ({"type": ""}, "at least 1 character"),
        ({"type": " \t"}, "pattern"),
        ({"type": "x" * 65}, "at most 64 characters"),
        ({"time": "2026-01-31T18:30:00"}, "timezone"),
        ({"time": "2026-01-31"}, "timezone"),
        ({"time": datetime(2026, 1, 31)}, "timezone"),
        ({"time": 1_769_880_000}, "expected a time with a time zone"),
        ({"time": "1769880000"}, "expected a time with a time zone"),
        ({"time": "yesterday"}, "expected a time with a time zone"),
        ({"time": "2026-02-31T00:00:00Z"}, "valid datetime"),
        ({"time": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5)))}, "years 1678 to 2261"),
        ({"time": "9999-12-31T00:00:00Z"}, "years 1678 to 2261"),
        ({"time": "1677-12-31T23:59:59Z"}, "years 1678 to 2261"),
        ({"user": True}, "valid integer"),
        ({"user": 1.0}, "valid integer"),
        ({"user": "u" * 513}, "at most 512 characters"),
        ({"item_id": "i" * 513}, "at most 512 characters"),
        ({"item_id": [1]}, "valid integer"),
        ({"item_id": 10**5000}, "cannot be stored as JSON"),
        ({"rank": 0}, "greater than or equal to 1"),
        ({"rank": 2**31}, "less than or equal to"),
        ({"rank": 1.0}, "valid integer"),
        ({"rank": True}, "valid integer"),
        ({"value": math.nan}, "finite number"),
        ({"value": -math.inf}, "finite number"),
        ({"value": "1"}, "valid number"),
        ({"value": True}, "valid number"),
        ({"query": {"x": math.nan}}, "finite number"),
        ({"query": {"x": [{"y": math.inf}]}}, "finite number"),
        ({"query": {"x": datetime.now(UTC)}}, "not a valid JSON value"),
        ({"query": [1]}, "valid dictionary"),
        ({"attributes": {1: 2}}, "valid string"),
        ({"attributes": {"x": "\ud800"}}, "half of a character|unicode"),
        ({"type": "\ud800"}, "unicode"),
        ({"oops": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_event_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        event(**given)


def test_the_schema_says_what_may_be_left_out() -> None:
    schema = Event.model_json_schema()
    assert schema["required"] == ["event_id", "type"]
    assert schema["properties"]["time"]["anyOf"] == [
        {"type": "string", "format": "date-time"},
        {"type": "null"},
    ]
    assert schema["properties"]["type"]["maxLength"] == 64
