import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from crosstower.client import ClientError, operations
from crosstower.client.operations import encoded, id_text


def test_a_body_is_json_as_it_was_given() -> None:
    body = {
        "time": datetime(2026, 1, 31, 18, 30, tzinfo=UTC),
        "price": np.float32(0.5),
        "count": np.int64(3),
        "vector": np.array([1.0, 2.0]),
        "title": "Zürich",
        "none": None,
    }
    assert encoded(body, "row").decode() == (
        '{"time":"2026-01-31T18:30:00+00:00","price":0.5,"count":3,"vector":[1.0,2.0],'
        '"title":"Zürich","none":null}'
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, object(), "\ud800"])
def test_a_value_without_a_form_in_json_is_refused_before_it_is_sent(value: Any) -> None:
    with pytest.raises(ClientError, match=r"items\[3\]: cannot be sent as JSON"):
        encoded({"price": value}, "items[3]")


def test_only_a_list_that_is_not_logged_is_repeated_after_a_lost_response() -> None:
    def of(log: bool | None) -> tuple[bool, bool]:
        call = operations.recommend({} if log is None else {"log": log})
        return call.repeatable, call.refused_whole

    assert (of(None), of(False), of(True)) == ((False, True), (True, True), (False, False))
    swap = operations.swap("/bundle")
    assert (swap.repeatable, swap.refused_whole) == (False, False)
    assert operations.rank({"items": [1]}).repeatable


def test_ids_of_an_address_are_integers_and_texts() -> None:
    given: list[Any] = [7, np.int64(8), "a/b?", -1]
    assert [id_text(one, "user") for one in given] == ["7", "8", "a/b?", "-1"]


@pytest.mark.parametrize("value", [None, True, 1.0, math.nan, b"a", "\ud800"])
def test_what_is_no_id_is_refused_before_it_is_sent(value: Any) -> None:
    with pytest.raises(ClientError, match="user: expected an integer or a text"):
        operations.get_user(value)


def test_an_integer_that_is_too_long_for_a_text_is_refused() -> None:
    with pytest.raises(ClientError, match="user: expected an integer or a text: Exceeds the limit"):
        operations.get_user(10**5_000)
