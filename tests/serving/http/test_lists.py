import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.http.lists import ListQuestion, Lists
from crosstower.serving.http.problems import ApiError
from crosstower.serving.http.settings import Limits


class Funnel:
    """Answers with k; refuses k = 0, and breaks down where one k is 13."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    @property
    def needs_funnel(self) -> "Funnel":
        return self

    def recommend_each(self, many: Sequence[FunnelRequest]) -> list[Any]:
        self.asked.append([asked.k for asked in many])
        if any(asked.k == 13 for asked in many):
            raise ZeroDivisionError("a fault of ours")
        return [QueryError("k") if asked.k == 0 else asked.k for asked in many]


def question(k: int, *, until: float = 10.0, tell: Any = lambda _live, found: -found) -> Any:
    return ListQuestion(FunnelRequest(k=k), tell, time.monotonic() + until)


def ask(funnel: Funnel, questions: Sequence[Any], **limits: Any) -> list[Any]:
    """Ask several questions that wait behind one other."""

    async def all_of_them() -> list[Any]:
        with ThreadPoolExecutor(1) as thread:
            lists = Lists(thread, lambda: funnel, Limits(**limits))  # type: ignore[arg-type, return-value]
            thread.submit(time.sleep, 0.05)
            answers = (lists.ask(one) for one in questions)
            return await asyncio.gather(*answers, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_each_gets_its_own_answer_or_error() -> None:
    funnel = Funnel()
    assert list(map(repr, ask(funnel, [question(k) for k in (1, 0, 3)]))) == [
        "-1",
        "QueryError('k')",
        "-3",
    ]
    assert funnel.asked == [[1, 0, 3]]


def test_no_more_are_answered_together_than_the_limit() -> None:
    funnel = Funnel()
    ask(funnel, [question(k) for k in (1, 2, 3)], max_batch_size=2)
    assert funnel.asked == [[1, 2], [3]]


def test_a_fault_of_ours_is_that_of_one_alone() -> None:
    found = ask(Funnel(), [question(k) for k in (1, 13, 3)])
    assert [found[0], found[2]] == [-1, -3]
    assert isinstance(found[1], ZeroDivisionError)


def test_what_is_made_of_an_answer_may_fail_for_one_alone() -> None:
    def broken(_live: Any, _found: Any) -> None:
        raise KeyError("shape")

    found = ask(Funnel(), [question(1), question(2, tell=broken)])
    assert found[0] == -1
    assert isinstance(found[1], KeyError)


def test_who_has_waited_too_long_is_refused_and_costs_nothing() -> None:
    funnel = Funnel()
    found = ask(funnel, [question(1), question(2, until=-1.0), question(3)])
    assert [found[0], found[2]] == [-1, -3]
    assert isinstance(found[1], ApiError)
    assert funnel.asked == [[1, 3]]


def test_no_bundle_is_told_to_everybody() -> None:
    def nothing() -> Any:
        raise ApiError(503, "no bundle is open yet", reason="not_ready")

    async def both() -> list[Any]:
        with ThreadPoolExecutor(1) as thread:
            lists = Lists(thread, nothing, Limits())
            answers = (lists.ask(question(k)) for k in (1, 2))
            return await asyncio.gather(*answers, return_exceptions=True)

    assert [type(answer) for answer in asyncio.run(both())] == [ApiError, ApiError]
