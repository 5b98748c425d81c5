"""Requests that wait for the same thread are answered together: one call for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Waiting(Generic[Question, Answer]):
    question: Question
    future: asyncio.Future[Answer]


class Together(Generic[Question, Answer]):
    """Asks for one answer to many questions. Use it from one event loop.

    A lone question is asked at once; those that come while the thread is busy wait, and are asked
    together when it is free.

    Args:
        thread: of a single worker.
        answer: gives an answer, or what went wrong, for each question; called in the thread.
        most: questions at a time.

    """

    def __init__(
        self,
        thread: Executor,
        answer: Callable[[Sequence[Question]], Sequence[Answer | Exception]],
        *,
        most: int,
    ) -> None:
        self._thread, self._answer, self._most = thread, answer, most
        self._waiting: deque[_Waiting[Question, Answer]] = deque()
        self._called = False

    async def ask(self, question: Question) -> Answer:
        """Return the answer.

        Raises:
            Exception: what went wrong.

        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting[Question, Answer](question, loop.create_future())
        self._waiting.append(waiting)
        if not self._called:
            self._called = True
            self._thread.submit(self._take, loop)
        return await waiting.future

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer those that wait, at most so many at a time, until none is left."""
        self._called = False  # from here on a new one calls again
        taken: list[_Waiting[Question, Answer]] = []
        while self._waiting and len(taken) < self._most:
            waiting = self._waiting.popleft()
            if not waiting.future.cancelled():
                taken.append(waiting)
        if self._waiting and not self._called:
            self._called = True
            self._thread.submit(self._take, loop)
        if not taken:
            return
        try:
            answers = self._answer([waiting.question for waiting in taken])
        except BaseException as error:
            answers = [_plain(error)] * len(taken)
        loop.call_soon_threadsafe(_tell, taken, answers)


def _plain(error: BaseException) -> Exception:
    """Return an error that a future takes: a panic of a library is none, nor is StopIteration."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(f"{type(error).__name__}: {error}")


def _tell(
    taken: Sequence[_Waiting[Question, Answer]], answers: Sequence[Answer | Exception]
) -> None:
    for waiting, answer in zip(taken, answers, strict=True):
        if waiting.future.done():  # who asked has gone
            continue
        if isinstance(answer, Exception):
            waiting.future.set_exception(_plain(answer))
        else:
            waiting.future.set_result(answer)
