"""Sockets to a real server in a thread."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import uvicorn

from crosstower.serving.http.protocol import BoundedProtocol

BODY = b'{"user": 1}'
App = TypeVar("App")


class Running(Generic[App]):
    """A running server; `connect` gives a socket to it."""

    def __init__(self, app: App, port: int) -> None:
        self.app, self.port = app, port
        self.opened: list[socket.socket] = []

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.opened.append(made)
        return made

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.005)


@contextmanager
def serving(app: App, *, lifespan: Any = "on") -> Iterator[Running[App]]:
    """Serve an application in a thread."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        port=0, http=BoundedProtocol, ws="none", proxy_headers=False, lifespan=lifespan,
        log_config=None, log_level="warning",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end
        assert thread.is_alive()
        time.sleep(0.005)
    running = Running(app, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield running
    finally:
        for connection in running.opened:
            connection.close()
        server.should_exit = True
        thread.join(10)


def request(path: str = "/v1/recommend", body: bytes = BODY, *headers: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def read_response(connection: socket.socket) -> tuple[int, bytes]:
    """Return status and body of one response; what comes behind it is left for the next call."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        more = connection.recv(1)
        assert more, "closed without a response"
        head += more
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(head.split(b" ")[1]), body


def closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
