"""The state of requests in retrieval: one that fails does not stop the others."""

import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.online.request import (
    RetrievalRequest,
    RetrievalState,
    each,
    fail,
    history_of,
)

State = RetrievalState[RetrievalRequest]


def states(count: int) -> list[State]:
    return [RetrievalState(RetrievalRequest(user=n)) for n in range(count)]


def test_a_request_that_fails_does_not_stop_the_others() -> None:
    requests = states(3)
    seen: list[object] = []

    def step(state: State) -> None:
        seen.append(state.request.user)
        if state.request.user == 1:
            raise QueryError("wrong")

    each(requests, step)
    each(requests, step)
    assert seen == [0, 1, 2, 0, 2]
    assert [str(state.error) for state in requests] == ["None", "wrong", "None"]


def test_requests_are_marked_as_failed() -> None:
    requests, error = states(2), QueryError("all")
    fail(requests, error)
    assert [state.error for state in requests] == [error, error]


def test_who_is_not_known_has_no_history() -> None:
    assert states(1)[0].user.history.tolist() == []


def test_all_requests_take_a_step_before_the_next_one() -> None:
    requests, seen = states(3), list[tuple[str, object]]()

    def first(state: State) -> None:
        seen.append(("first", state.request.user))
        if state.request.user == 1:
            raise QueryError("wrong")

    each(requests, first, lambda state: seen.append(("second", state.request.user)))
    assert seen == [("first", 0), ("first", 1), ("first", 2), ("second", 0), ("second", 2)]


@pytest.mark.parametrize("history", ["f01", 7, ["f01", 1.5], ["f01", None]])
def test_a_history_is_a_list_of_ids(history: object) -> None:
    with pytest.raises(QueryError, match="history: expected"):
        history_of(history)  # type: ignore[arg-type]
    assert history_of(["f01", 7]) == ("f01", 7)
    assert history_of(None) is None
