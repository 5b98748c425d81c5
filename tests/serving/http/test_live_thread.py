"""Work of requests waits in a bounded queue for a bounded time; that of the server always runs."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from crosstower.serving.http.live_thread import LiveThread
from crosstower.serving.http.problems import ApiError


def played(play: Callable[[LiveThread], Awaitable[None]], *, most: int, timeout: float) -> None:
    async def whole() -> None:
        thread = LiveThread(threads=1, max_queue=most, timeout=timeout)
        await play(thread)
        await thread.stop()

    asyncio.run(whole())


def test_all_work_runs_in_one_thread_with_the_context_of_its_request() -> None:
    request = ContextVar[str]("request")

    async def play(thread: LiveThread) -> None:
        request.set("a")
        names = [await thread.run(threading.get_ident), await thread.do(threading.get_ident)]
        assert names[0] == names[1] != threading.get_ident()
        assert await thread.run(request.get) == "a"

    played(play, most=1, timeout=20.0)


def test_a_full_queue_refuses_requests_but_no_work_of_the_server() -> None:
    async def play(thread: LiveThread) -> None:
        finish = threading.Event()
        first = asyncio.create_task(thread.run(lambda: finish.wait(20)))
        await asyncio.sleep(0)  # the task takes its place
        assert thread.waiting == 1
        with pytest.raises(ApiError, match=r"the queue for requests is full \(1\)") as refused:
            await thread.run(int)
        assert refused.value.status == 503
        own = asyncio.create_task(thread.do(int))
        finish.set()
        assert (await first, await own, thread.waiting) == (True, 0, 0)

    played(play, most=1, timeout=20.0)


def test_a_request_that_waited_too_long_is_refused_and_never_runs() -> None:
    async def play(thread: LiveThread) -> None:
        finish, ran = threading.Event(), list[int]()
        busy = asyncio.create_task(thread.do(lambda: finish.wait(20)))
        await asyncio.sleep(0)  # the thread is busy from here on
        with pytest.raises(ApiError, match=r"waited longer than 0\.05 seconds"):
            await thread.run(lambda: ran.append(1))
        finish.set()
        await busy
        await thread.do(int)
        assert (ran, thread.waiting) == ([], 0)

    played(play, most=2, timeout=0.05)


def test_an_error_of_the_work_is_raised() -> None:
    async def play(thread: LiveThread) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            await thread.run(lambda: int("a"))
        assert thread.waiting == 0

    played(play, most=1, timeout=20.0)
