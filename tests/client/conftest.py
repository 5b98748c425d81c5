"""A served bundle, and a server whose faults a test chooses."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from crosstower.serving.bundle import Bundle
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Limits, Settings

from ..serving.http.connections import serving

TOKEN = "admin-token-0123456789"
LIMITS = Limits(items=3, events=4, users=2, body_bytes=4_000)


@pytest.fixture(scope="session")
def address(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of the rentals in this process, with a token and small limits."""
    state = tmp_path_factory.mktemp("client") / "state"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSTOWER_ADMIN_TOKEN", TOKEN)
        app = create_app(Settings(bundle=bundle.folder, state=state, limits=LIMITS))
    with serving(app) as running:
        yield f"http://127.0.0.1:{running.port}"


class Scripted:
    """A server that responds to its connections in turn, each with given bytes, and closes them.

    None keeps a connection open without a response, until the server ends.
    """

    def __init__(self, responses: Sequence[bytes | None]) -> None:
        self.requests: list[bytes] = []
        self._responses, self._held = responses, list[socket.socket]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for response in self._responses:
            connection, _ = self._socket.accept()
            self.requests.append(_request(connection))
            if response is None:
                self._held.append(connection)
                continue
            connection.sendall(response)
            connection.close()

    def close(self) -> None:
        self._thread.join(10)
        for one in (self._socket, *self._held):
            one.close()


def _request(connection: socket.socket) -> bytes:
    """Return the bytes of a request; all are read, so that closing does not reset."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65_536)
    head, _, body = head.partition(b"\r\n\r\n")
    lines = [line.split(b": ") for line in head.lower().split(b"\r\n")[1:]]
    length = int(dict(lines).get(b"content-length", b"0"))
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def response(status: str, body: bytes, *headers: str) -> bytes:
    # The header: without it, a client may send its next request before the connection is closed.
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


PROBLEM = b'{"title": "Service Unavailable", "status": 503, "detail": "try again in a second"}'
HEALTHY = response("200 OK", b'{"status": "ok"}')
BUSY = response("503 Service Unavailable", PROBLEM, "retry-after: 0")

Script = Callable[..., Scripted]


@pytest.fixture
def script() -> Iterator[Script]:
    """Start servers with the given responses."""
    with ExitStack() as stack:

        def start(*responses: bytes | None) -> Scripted:
            made = Scripted(responses)
            stack.callback(made.close)
            return made

        yield start
