"""When a call is sent again, and after which pause."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from tenacity import (
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)
from tenacity.retry import retry_base
from tenacity.stop import stop_base

from crosstower.client.errors import ProblemError, UnexpectedResponseError, UnreachableError
from crosstower.client.operations import Call

_FIRST_PAUSE = 0.25  # seconds, doubled each time; a pause is drawn uniformly up to it
_LOG = logging.getLogger("crosstower.client")
_UNPROCESSED, _UNAVAILABLE, _UNCERTAIN = 429, 503, {408, 502, 503, 504}


class Policy(TypedDict):
    """Arguments of tenacity."""

    stop: stop_base
    wait: Callable[[RetryCallState], float]
    retry: retry_base
    before_sleep: Callable[[RetryCallState], None]
    reraise: bool


@dataclass(frozen=True)
class Retries:
    """Limits of repeating a call.

    Args:
        most: number of times that a call is sent again.
        most_pause: longest pause in seconds; a server that asks for more is not waited for.

    """

    most: int
    most_pause: float

    def policy(self, call: Call[Any]) -> Policy:
        """Return the policy of a call for tenacity."""
        backoff = wait_random_exponential(_FIRST_PAUSE, max=self.most_pause)

        def pause(state: RetryCallState) -> float:
            return (_asked_pause(_error(state)) or 0.0) + backoff(state)

        def log(state: RetryCallState) -> None:
            again, seconds = state.attempt_number + 1, state.upcoming_sleep
            _LOG.info("%s; attempt %d of %d in %.2f seconds", _error(state), again, self.most + 1,
                      seconds)  # fmt: skip

        return {
            "stop": stop_after_attempt(self.most + 1),
            "wait": pause,
            "retry": retry_if_exception(lambda error: self.may_repeat(call, error)),
            "before_sleep": log,
            "reraise": True,
        }

    def may_repeat(self, call: Call[Any], error: BaseException) -> bool:
        """Return whether to send a call again after an error.

        A request that reached no server, or that the server has refused for now, can be sent
        again. One that may have been processed can if it changes nothing the second time.
        """
        if (_asked_pause(error) or 0.0) > self.most_pause:
            return False
        if isinstance(error, UnreachableError):
            return call.repeatable or not error.sent
        if not isinstance(error, ProblemError | UnexpectedResponseError):
            return False
        if error.status == _UNAVAILABLE and not call.operation.patient:
            return False
        refused = isinstance(error, ProblemError) and error.status == _UNAVAILABLE
        if error.status == _UNPROCESSED or (refused and call.refused_whole):
            return True
        return error.status in _UNCERTAIN and call.repeatable


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _asked_pause(error: BaseException | None) -> float | None:
    return getattr(error, "retry_after", None)
