"""A stand-in for the application behind a real server, and the fixture that serves it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from crosstower.serving.http.admission import PLACE, AdmissionLimit, AdmissionLimits
from crosstower.serving.http.settings import Limits

from .connections import Running, request, serving

NO_BODY = [(b"content-length", b"0")]


class App:
    """Reads each body and responds with its length, once it may."""

    def __init__(self, limits: Limits) -> None:
        self.refused: list[str] = []
        self.called = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.may = threading.Event()
        self.may.set()
        metrics = SimpleNamespace(refused=self.refused.append)
        admission = AdmissionLimits(
            AdmissionLimit(most=limits.max_queue, seconds=9), AdmissionLimit(most=1, seconds=9)
        )
        settings = SimpleNamespace(limits=limits)
        service = SimpleNamespace(settings=settings, metrics=metrics, admission=admission)
        self.state, self.admission = SimpleNamespace(service=service), admission

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.called += 1
        self.headers = scope["headers"]
        try:
            if "/early" in scope["path"]:
                await send({"type": "http.response.start", "status": 401, "headers": NO_BODY})
                await send({"type": "http.response.body", "body": b""})
                return
            body, more = b"", True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body, more = body + message["body"], message["more_body"]
            while not self.may.is_set():
                await asyncio.sleep(0.005)
            text = b"%d" % len(body)
            headers = [(b"content-length", b"%d" % len(text))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": text})
        finally:
            if PLACE in scope:
                scope[PLACE].leave()


Serve = Callable[..., Running[App]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a stand-in with the given limits."""
    with ExitStack() as stack:

        def one(**limits: Any) -> Running[App]:
            app = App(Limits(**limits))
            running = stack.enter_context(serving(app, lifespan="off"))
            stack.callback(app.may.set)
            return running

        yield one


def fill(running: Running[App], waiting: int) -> list[socket.socket]:
    running.app.may.clear()
    many = [running.connect() for _ in range(waiting)]
    for connection in many:
        connection.sendall(request())
    running.until(lambda: running.app.admission.live.inside == waiting)
    return many
