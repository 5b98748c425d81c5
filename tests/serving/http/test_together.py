import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from crosstower.serving.http.together import Together


class Doubling:
    """Doubles numbers, and remembers which came together; waits for `go` at the first call."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go, self.begun = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(numbers))
        self.begun.set()
        self.go.wait(10)
        return [ValueError(f"no {n}") if n < 0 else 2 * n for n in numbers]


def run(test: Callable[[Doubling, Together[int, int]], object], *, most: int = 3) -> Doubling:
    doubling = Doubling()
    with ThreadPoolExecutor(1) as thread:
        asyncio.run(test(doubling, Together(thread, doubling, most=most)))  # type: ignore[arg-type]
    return doubling


async def behind_a_first(
    doubling: Doubling, together: Together[int, int], numbers: Sequence[int]
) -> list[int | BaseException]:
    """Ask for a first one, and for the others while it is being answered."""
    first = asyncio.ensure_future(together.ask(100))
    await asyncio.to_thread(doubling.begun.wait, 10)
    rest = [asyncio.ensure_future(together.ask(n)) for n in numbers]
    await asyncio.sleep(0)
    doubling.go.set()
    return list(await asyncio.gather(first, *rest, return_exceptions=True))


def test_what_waits_is_answered_together_in_order_and_no_more_than_the_most() -> None:
    async def test(doubling: Doubling, together: Together[int, int]) -> None:
        answers = await behind_a_first(doubling, together, range(1, 8))
        assert answers == [200, *(2 * n for n in range(1, 8))]

    assert run(test).groups == [[100], [1, 2, 3], [4, 5, 6], [7]]
    assert run(test, most=1).groups == [[100], *([n] for n in range(1, 8))]


def test_each_gets_what_is_its_own_be_it_an_error() -> None:
    async def test(doubling: Doubling, together: Together[int, int]) -> None:
        found = await behind_a_first(doubling, together, [1, -2, 3])
        assert [repr(f) for f in found] == ["200", "2", "ValueError('no -2')", "6"]

    assert run(test).groups == [[100], [1, -2, 3]]


def test_an_error_of_the_whole_reaches_everybody_and_the_next_are_answered() -> None:
    async def test(doubling: Doubling, together: Together[int, int]) -> None:
        doubling.go.set()
        with pytest.raises(TypeError):
            await together.ask("a")  # type: ignore[arg-type]
        assert await together.ask(4) == 8

    run(test)


class PanicError(BaseException):
    """As of a library that does not raise an Exception."""


@pytest.mark.parametrize("error", [PanicError("core"), StopIteration("end")])
def test_what_no_future_takes_is_told_all_the_same(error: BaseException) -> None:
    def broken(_numbers: Sequence[int]) -> list[int | Exception]:
        raise error

    async def ask() -> None:
        together = Together[int, int](thread, broken, most=3)
        for _ in range(2):
            with pytest.raises(RuntimeError, match=f"{type(error).__name__}: "):
                await asyncio.wait_for(together.ask(1), 10)

    with ThreadPoolExecutor(1) as thread:
        asyncio.run(ask())


def test_who_has_gone_is_not_asked_for() -> None:
    async def test(doubling: Doubling, together: Together[int, int]) -> None:
        first = asyncio.ensure_future(together.ask(100))
        await asyncio.to_thread(doubling.begun.wait, 10)
        gone, stays = (asyncio.ensure_future(together.ask(n)) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        await asyncio.sleep(0)
        doubling.go.set()
        assert await stays == 4

    assert run(test).groups == [[100], [2]]


def test_many_at_once_are_all_answered() -> None:
    async def test(doubling: Doubling, together: Together[int, int]) -> None:
        doubling.go.set()
        for _ in range(20):
            numbers = range(200)
            answers = await asyncio.gather(*(together.ask(n) for n in numbers))
            assert answers == [2 * n for n in numbers]

    groups = run(test, most=8).groups
    assert sum(map(len, groups)) == 20 * 200
    assert max(map(len, groups)) <= 8
