"""The state of requests on their way through the stages."""

import numpy as np

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest, Ranked, RequestState, each, fail


def states(count: int) -> list[RequestState]:
    return [RequestState(FunnelRequest(user=n)) for n in range(count)]


def test_a_request_that_fails_does_not_stop_the_others() -> None:
    requests = states(3)
    seen: list[object] = []

    def step(state: RequestState) -> None:
        seen.append(state.request.user)
        if state.request.user == 1:
            raise QueryError("wrong")

    each(requests, step)
    each(requests, step)
    assert seen == [0, 1, 2, 0, 2]
    assert str(requests[1].result()) == "wrong"
    assert isinstance(requests[0].result(), Ranked)


def test_requests_are_marked_as_failed() -> None:
    requests, error = states(2), QueryError("all")
    fail(requests, error)
    assert [request.result() for request in requests] == [error, error]


def test_an_unknown_user_is_told_with_what_was_done_instead() -> None:
    (request,) = states(1)
    result = request.result()
    assert isinstance(result, Ranked)
    assert "user 0 is unknown" in result.notices[0]
    request.found = Ranked(np.array([3]), np.array([1.0]), fallback="popular items")
    popular = request.result()
    assert isinstance(popular, Ranked)
    assert popular.notices != result.notices
    assert RequestState(FunnelRequest()).result().notices == ()  # type: ignore[union-attr]


def test_who_is_not_known_has_no_history() -> None:
    assert states(1)[0].user.history.tolist() == []


def test_all_requests_take_a_step_before_the_next_one() -> None:
    requests, seen = states(3), list[tuple[str, object]]()

    def first(state: RequestState) -> None:
        seen.append(("first", state.request.user))
        if state.request.user == 1:
            raise QueryError("wrong")

    each(requests, first, lambda state: seen.append(("second", state.request.user)))
    assert seen == [("first", 0), ("first", 1), ("first", 2), ("second", 0), ("second", 2)]
