"""Requests for lists, which a worker answers together where several wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.problems import ApiError
from crosstower.serving.http.settings import Limits
from crosstower.serving.http.together import Together

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ListQuestion(Generic[Answer]):
    """A request for a list, what to make of it, and until when its turn must have come."""

    asked: FunnelRequest
    tell: Callable[[Live, Ranked], Answer]
    until: float


class Lists:
    """Answers requests for lists.

    Args:
        thread: of the live bundle.
        live: gives it, in the thread, with all changes of items.
        limits: how many are answered together, and how long one may wait.

    """

    def __init__(self, thread: Executor, live: Callable[[], Live], limits: Limits) -> None:
        self._live, self._seconds = live, limits.queue_timeout
        self._together = Together(thread, self._answers, most=limits.max_batch_size)

    async def ask(self, question: ListQuestion[Answer]) -> Answer:
        """Return what the question makes of its answer.

        Raises:
            Refusal: its turn did not come in time.
            CrosstowerError: the request is wrong.

        """
        return await self._together.ask(question)

    def _answers(self, questions: Sequence[ListQuestion[Any]]) -> list[Any | Exception]:
        """Return an answer, or what went wrong, for each question."""
        live = self._live()
        now = time.monotonic()
        found = iter(_found(live, [q for q in questions if q.until >= now]))
        return [next(found) if q.until >= now else too_late(self._seconds) for q in questions]


def _found(live: Live, questions: Sequence[ListQuestion[Any]]) -> list[Any | Exception]:
    try:
        answers = live.needs_funnel.recommend_each([question.asked for question in questions])
    except Exception as error:
        if len(questions) <= 1:
            return [error] * len(questions)
        # A fault of ours in one must not be that of all.
        return [answer for question in questions for answer in _found(live, [question])]
    pairs = zip(questions, answers, strict=True)
    return [_told(live, question, answer) for question, answer in pairs]


def _told(live: Live, question: ListQuestion[Any], answer: Ranked | Exception) -> Any | Exception:
    if isinstance(answer, Exception):
        return answer
    try:
        return question.tell(live, answer)
    except Exception as error:
        return error


def too_late(seconds: float) -> ApiError:
    """Return the refusal of a request that has waited for its time."""
    return ApiError(
        503,
        f"waited longer than {seconds:g} seconds; try again, or start more workers; what was to be"
        " written may be kept nevertheless",
        reason="timeout",
        headers={"Retry-After": "1"},
    )


def busy(most: int, what: str) -> ApiError:
    """Return the refusal of a request where `most` requests or writes wait."""
    return ApiError(
        503,
        f"{most} {what} wait already; try again in a second, or start more workers",
        reason="busy",
        headers={"Retry-After": "1"},
    )
