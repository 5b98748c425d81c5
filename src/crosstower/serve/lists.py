"""Requests for lists, which a worker answers together where several wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from crosstower.live.answer import Asked, Ranked
from crosstower.live.live import Live
from crosstower.serve.problems import Refusal
from crosstower.serve.settings import Limits
from crosstower.serve.together import Together

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ListQuestion(Generic[Answer]):
    """A request for a list, what to make of it, and until when its turn must have come."""

    asked: Asked
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
        self._live, self._seconds = live, limits.seconds
        self._together = Together(thread, self._answers, most=limits.together)

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
        late = [too_late(question.until, self._seconds) for question in questions]
        rest = [q for q, refusal in zip(questions, late, strict=True) if refusal is None]
        found = iter(_found(live, rest))
        return [next(found) if refusal is None else refusal for refusal in late]


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


def too_late(until: float, seconds: float) -> Refusal | None:
    """Return the refusal of a request whose turn came after `until`, on the monotonic clock."""
    if time.monotonic() <= until:
        return None
    return Refusal(
        503,
        f"waited longer than {seconds:g} seconds; try again, or start more workers",
        reason="timeout",
        headers={"Retry-After": "1"},
    )
