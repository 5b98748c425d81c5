import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.http.batcher import DynamicBatcher, ListRequest, respond_to_lists
from crosstower.serving.http.problems import ApiError


class Doubling:
    """Doubles numbers, and remembers the batches; waits for `go` at the first call."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go, self.begun = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(numbers))
        self.begun.set()
        self.go.wait(10)
        return [ValueError(f"no {n}") if n < 0 else 2 * n for n in numbers]


def run(test: Callable[[Doubling, DynamicBatcher[int, int]], object], *, most: int = 3) -> Doubling:
    doubling = Doubling()
    with ThreadPoolExecutor(1) as thread:
        asyncio.run(test(doubling, DynamicBatcher(thread, doubling, max_batch_size=most)))  # type: ignore[arg-type]
    return doubling


async def behind_a_first(
    doubling: Doubling, batcher: DynamicBatcher[int, int], numbers: Sequence[int]
) -> list[int | BaseException]:
    """Ask for a first one, and for the others while it is being served."""
    first = asyncio.ensure_future(batcher.submit(100))
    await asyncio.to_thread(doubling.begun.wait, 10)
    rest = [asyncio.ensure_future(batcher.submit(n)) for n in numbers]
    await asyncio.sleep(0)
    doubling.go.set()
    return list(await asyncio.gather(first, *rest, return_exceptions=True))


def test_waiting_requests_are_served_in_batches_of_at_most_the_size_in_order() -> None:
    async def test(doubling: Doubling, batcher: DynamicBatcher[int, int]) -> None:
        responses = await behind_a_first(doubling, batcher, range(1, 8))
        assert responses == [200, *(2 * n for n in range(1, 8))]

    assert run(test).groups == [[100], [1, 2, 3], [4, 5, 6], [7]]
    assert run(test, most=1).groups == [[100], *([n] for n in range(1, 8))]


def test_each_gets_what_is_its_own_be_it_an_error() -> None:
    async def test(doubling: Doubling, batcher: DynamicBatcher[int, int]) -> None:
        found = await behind_a_first(doubling, batcher, [1, -2, 3])
        assert [repr(f) for f in found] == ["200", "2", "ValueError('no -2')", "6"]

    assert run(test).groups == [[100], [1, -2, 3]]


def test_an_error_of_the_whole_reaches_everybody_and_the_next_are_served() -> None:
    async def test(doubling: Doubling, batcher: DynamicBatcher[int, int]) -> None:
        doubling.go.set()
        with pytest.raises(TypeError):
            await batcher.submit("a")  # type: ignore[arg-type]
        assert await batcher.submit(4) == 8

    run(test)


class PanicError(BaseException):
    """As of a library that does not raise an Exception."""


@pytest.mark.parametrize("error", [PanicError("core"), StopIteration("end")])
def test_what_no_future_takes_is_told_all_the_same(error: BaseException) -> None:
    def broken(_numbers: Sequence[int]) -> list[int | Exception]:
        raise error

    async def ask() -> None:
        batcher = DynamicBatcher[int, int](thread, broken, max_batch_size=3)
        for _ in range(2):
            with pytest.raises(RuntimeError, match=f"{type(error).__name__}: "):
                await asyncio.wait_for(batcher.submit(1), 10)

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(ask())


def test_who_has_gone_is_not_asked_for() -> None:
    async def test(doubling: Doubling, batcher: DynamicBatcher[int, int]) -> None:
        first = asyncio.ensure_future(batcher.submit(100))
        await asyncio.to_thread(doubling.begun.wait, 10)
        gone, stays = (asyncio.ensure_future(batcher.submit(n)) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        await asyncio.sleep(0)
        doubling.go.set()
        assert await stays == 4

    assert run(test).groups == [[100], [2]]


def test_many_at_once_are_all_served() -> None:
    async def test(doubling: Doubling, batcher: DynamicBatcher[int, int]) -> None:
        doubling.go.set()
        for _ in range(20):
            numbers = range(200)
            responses = await asyncio.gather(*(batcher.submit(n) for n in numbers))
            assert responses == [2 * n for n in numbers]

    groups = run(test, most=8).groups
    assert sum(map(len, groups)) == 20 * 200
    assert max(map(len, groups)) <= 8


class Funnel:
    """Answers with k; refuses k = 0, and breaks down where one k is 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    @property
    def needs_funnel(self) -> "Funnel":
        return self

    def recommend_each(self, many: Sequence[FunnelRequest]) -> list[Any]:
        self.batches.append([one.k for one in many])
        if any(one.k == 13 for one in many):
            raise ZeroDivisionError("a fault of ours")
        return [QueryError("k") if one.k == 0 else one.k for one in many]


def request(k: int, *, until: float = 10.0, respond: Any = lambda _live, found: -found) -> Any:
    return ListRequest(FunnelRequest(k=k), respond, time.monotonic() + until)


def ask(funnel: Any, requests: Sequence[Any], *, size: int = 32) -> list[Any]:
    """Submit several requests that wait behind another one."""

    async def all_of_them() -> list[Any]:
        with ThreadPoolExecutor(1) as thread:
            response = partial(respond_to_lists, funnel, queue_timeout=1.0)
            batcher = DynamicBatcher[Any, Any](thread, response, max_batch_size=size)
            thread.submit(time.sleep, 0.05)
            responses = (batcher.submit(one) for one in requests)
            return await asyncio.gather(*responses, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_each_gets_its_own_response_or_error() -> None:
    funnel = Funnel()
    assert list(map(repr, ask(funnel, [request(k) for k in (1, 0, 3)]))) == [
        "-1",
        "QueryError('k')",
        "-3",
    ]
    assert funnel.batches == [[1, 0, 3]]


def test_no_more_are_served_together_than_the_limit() -> None:
    funnel = Funnel()
    ask(funnel, [request(k) for k in (1, 2, 3)], size=2)
    assert funnel.batches == [[1, 2], [3]]


def test_a_fault_of_ours_is_that_of_one_alone() -> None:
    found = ask(Funnel(), [request(k) for k in (1, 13, 3)])
    assert [found[0], found[2]] == [-1, -3]
    assert isinstance(found[1], ZeroDivisionError)


def test_what_is_made_of_a_response_may_fail_for_one_alone() -> None:
    def broken(_live: Any, _found: Any) -> None:
        raise KeyError("shape")

    found = ask(Funnel(), [request(1), request(2, respond=broken)])
    assert found[0] == -1
    assert isinstance(found[1], KeyError)


def test_who_has_waited_too_long_is_refused_and_costs_nothing() -> None:
    funnel = Funnel()
    found = ask(funnel, [request(1), request(2, until=-1.0), request(3)])
    assert [found[0], found[2]] == [-1, -3]
    assert isinstance(found[1], ApiError)
    assert funnel.batches == [[1, 3]]
