import logging
from typing import Any

import pytest
from tenacity import RetryCallState, Retrying

from crosstower.client import ProblemError, UnexpectedResponseError, UnreachableError, operations
from crosstower.client.operations import Call
from crosstower.client.retries import Retries

READ, LISTED, LOGGED = (
    operations.rank({}),
    operations.recommend({}),
    operations.recommend({"log": True}),
)
SWAP, READY = operations.swap("/bundle"), Call(operations.READY)
RETRIES = Retries(2, 10.0)


def problem(status: int, retry_after: float | None = None) -> ProblemError:
    return ProblemError("words", status=status, retry_after=retry_after)


def other(status: int) -> UnexpectedResponseError:
    return UnexpectedResponseError("words", status=status)


LOST, UNSENT = UnreachableError("words"), UnreachableError("words", sent=False)


@pytest.mark.parametrize(
    ("error", "repeated"),
    [
        (UNSENT, [READ, LISTED, LOGGED, SWAP, READY]),
        (problem(429), [READ, LISTED, LOGGED, SWAP, READY]),
        (other(429), [READ, LISTED, LOGGED, SWAP, READY]),
        (problem(503), [READ, LISTED]),
        (other(503), [READ]),
        (other(502), [READ, READY]),
        (other(504), [READ, READY]),
        (problem(408), [READ, READY]),
        (LOST, [READ, READY]),
        *((problem(status), []) for status in (400, 401, 403, 404, 409, 413, 422, 500, 507)),
        (problem(503, 11.0), []),
        (ValueError("anything"), []),
    ],
)  # fmt: skip
def test_what_is_sent_again(error: Exception, repeated: list[Call[Any]]) -> None:
    calls = [READ, LISTED, LOGGED, SWAP, READY]
    assert [call for call in calls if RETRIES.may_repeat(call, error)] == repeated


def state(attempt: int, error: Exception) -> RetryCallState:
    found = RetryCallState(Retrying(), None, (), {})
    found.attempt_number = attempt
    found.set_exception((type(error), error, None))
    return found


def test_pauses_grow_are_drawn_and_have_an_end() -> None:
    wait = RETRIES.policy(READ)["wait"]
    many = [[wait(state(attempt, LOST)) for _ in range(300)] for attempt in range(1, 10)]
    largest = [max(pauses) for pauses in many]
    assert 0.2 < largest[0] <= 0.25
    assert 0.8 < largest[2] <= 1.0
    assert 8.0 < largest[-1] <= 10.0
    assert len(set(many[0])) > 250


def test_the_pause_of_the_server_comes_on_top() -> None:
    wait = RETRIES.policy(READ)["wait"]
    pauses = [wait(state(1, problem(503, 3.0))) for _ in range(300)]
    assert 3.0 <= min(pauses) < 3.05
    assert 3.2 < max(pauses) <= 3.25


def test_each_repetition_is_logged_without_parameters(caplog: pytest.LogCaptureFixture) -> None:
    call, errors = operations.get_user("anna"), iter([problem(503), problem(503)])

    def send() -> str:
        for error in errors:
            raise error
        return "sent"

    with caplog.at_level(logging.INFO, "crosstower.client"):
        assert Retrying(**Retries(2, 0.01).policy(call))(send) == "sent"
    first, second = caplog.messages
    assert first.startswith("words; attempt 2 of 3 in 0.0")
    assert second.startswith("words; attempt 3 of 3 in 0.0")


@pytest.mark.parametrize("most", [0, 1, 4])
def test_the_last_error_is_raised_after_so_many_repetitions(most: int) -> None:
    sent = []

    def send() -> None:
        sent.append(problem(503))
        raise sent[-1]

    with pytest.raises(ProblemError) as caught:
        Retrying(**Retries(most, 0.001).policy(READ))(send)
    assert caught.value is sent[-1]
    assert len(sent) == most + 1
