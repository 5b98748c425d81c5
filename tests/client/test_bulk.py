import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.client import ClientError, Limits, ProblemError, bulk
from crosstower.client.operations import Call
from crosstower.client.responses import ErasedResponse, ItemsResponse

SMALL = Limits(items=4, body_bytes=1_000)


def bodies(calls: list[Call[Any]], key: str) -> list[list[Any]]:
    return [json.loads(call.content or b"")[key] for call in calls]


@settings(max_examples=30)
@given(st.lists(st.text(max_size=500), min_size=1, max_size=30), st.integers(1, 8))
def test_all_rows_are_sent_in_order_within_the_limits(texts: list[str], most: int) -> None:
    rows = [{"item": n, "title": text} for n, text in enumerate(texts)]
    limits = Limits(items=most, body_bytes=1_000)
    calls = list(bulk.put_items(rows).calls(limits))
    parts = bodies(calls, "items")
    assert [row for part in parts for row in part] == rows
    assert [call.rows for call in calls] == [len(part) for part in parts]
    assert max(call.rows for call in calls) <= most
    large = [call for call in calls if len(call.content or b"") > limits.body_bytes]
    assert all(call.rows == 1 for call in large)  # the server says that it is too large


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**6) | st.text(max_size=100), min_size=1, max_size=2_000))
def test_ids_are_sent_in_short_urls(ids: list[int | str]) -> None:
    calls = list(bulk.delete_users(ids).calls(Limits()))
    assert [value for call in calls for _, value in call.params] == [str(one) for one in ids]
    assert max(call.rows for call in calls) <= 1_000
    sizes = [sum(4 + 3 * len(v.encode()) for _, v in call.params) for call in calls]
    assert max(sizes) <= 8_000


def test_parts_are_as_large_as_they_may_be() -> None:
    parts = bodies(list(bulk.put_items([{"id": n} for n in range(10)]).calls(SMALL)), "items")
    assert [len(part) for part in parts] == [4, 4, 2]


def test_vectors_name_their_weights_in_each_part() -> None:
    rows: Any = [{"id": n, "vector": [0.5, 1.5]} for n in range(5)]
    calls = list(bulk.put_vectors(rows, "6d0f").calls(SMALL))
    assert [json.loads(call.content or b"")["weights"] for call in calls] == ["6d0f", "6d0f"]
    assert [row for part in bodies(calls, "vectors") for row in part] == rows


def test_no_rows_are_one_call_that_the_server_refuses() -> None:
    assert bodies(list(bulk.add_events([]).calls(SMALL)), "events") == [[]]


def test_a_generator_is_read_as_the_calls_are_sent() -> None:
    read = []

    def rows() -> Any:
        for number in range(100):
            read.append(number)
            yield {"id": number}

    request = bulk.put_items(rows())
    assert request.needs_limits()
    assert read == [0, 1]
    next(request.calls(SMALL))
    assert len(read) == 5


@pytest.mark.parametrize(("count", "needed"), [(0, False), (1, False), (2, True)])
def test_one_row_is_within_all_limits(count: int, needed: bool) -> None:
    assert bulk.put_users([{"user_id": n} for n in range(count)]).needs_limits() is needed


def test_responses_are_added_up_and_the_last_sequence_counts() -> None:
    items = bulk.put_items([])
    for sequence, count in ((7, 3), (9, 2)):
        items.add(Call(items.operation, rows=count), ItemsResponse(sequence=sequence, items=count))
    assert items.total() == ItemsResponse(sequence=9, items=5)
    erased = bulk.delete_users([])
    for users, events in ((1, 10), (0, 5)):
        erased.add(Call(erased.operation), ErasedResponse(users=users, events=events))
    assert erased.total() == ErasedResponse(users=1, events=15)


def test_an_error_has_the_number_of_rows_that_were_acknowledged() -> None:
    request = bulk.put_items([])
    with pytest.raises(ProblemError) as caught, request.noting():
        raise ProblemError("first")
    assert (caught.value.done, getattr(caught.value, "__notes__", [])) == (0, [])
    request.add(Call(request.operation, rows=1_500), ItemsResponse(sequence=1, items=1_500))
    with pytest.raises(ProblemError) as caught, request.noting():
        raise ProblemError("second")
    assert caught.value.done == 1_500
    assert caught.value.__notes__ == ["1,500 items before were acknowledged"]


async def _rows() -> Any:
    yield {"id": 1}


@pytest.mark.parametrize("rows", ["alice", b"alice", {"id": 1}, 42, None, _rows()])
def test_a_single_row_is_not_taken_for_several(rows: Any) -> None:
    for made in (bulk.put_items(rows), bulk.add_events(rows), bulk.delete_users(rows)):
        with pytest.raises(ClientError, match=r"expected a list or a generator, got .*in a list"):
            made.needs_limits()


def test_an_error_of_the_rows_knows_the_acknowledged_ones() -> None:
    rows: Any = ({"id": n if n < 9 else float("nan")} for n in range(10))
    made = bulk.put_items(rows)
    with pytest.raises(ClientError, match=r"items\[9\]: cannot be sent") as caught:
        acknowledge(made)
    assert caught.value.done == 8
    assert caught.value.__notes__ == ["8 items before were acknowledged"]


def acknowledge(made: bulk.Bulk[ItemsResponse]) -> None:
    with made.noting():
        for call in made.calls(SMALL):
            made.add(call, ItemsResponse(items=call.rows, sequence=1))
