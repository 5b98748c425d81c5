"""A server in processes of its own."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

SECONDS = 90
TLS = ssl.create_default_context()  # takes 30 ms, which every new client would spend


class Server:
    """A running `crosstower serve`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.url = process, f"http://127.0.0.1:{port}"

    def client(self) -> httpx.Client:
        """Return a client of it; its connections are its own."""
        return httpx.Client(base_url=self.url, timeout=30, verify=TLS)

    def kill(self) -> None:
        """End all of its processes at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(SECONDS)


@contextmanager
def serving(
    bundle: Path, state: Path | str, *more: str, log: Path | None = None
) -> Iterator[Server]:
    """Serve a bundle on a free port until the block ends.

    A state is a folder, or an address with a password, which goes by the environment. The log is
    next to a folder.
    """
    log = Path(state).with_name("server.log") if log is None else log
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "crosstower", "serve", bundle, "--port", str(port), *more]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=file,
            start_new_session=True,
            env={**os.environ, "CROSSTOWER_STATE": str(state), "TMPDIR": str(log.parent)},
        )
    server = Server(process, port)
    try:
        _wait(server, log)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait(server: Server, log: Path) -> None:
    until = time.monotonic() + SECONDS
    with server.client() as client:
        while time.monotonic() < until:
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                if server.process.poll() is not None:
                    break
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")
