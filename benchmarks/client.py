"""A server and lean clients of it, for the benchmarks of serving."""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

K, THREADS = 10, 16
_SECONDS_TO_START = 180


def body(user: int) -> bytes:
    asked = {"user": user, "k": K, "query": {"device": "tv", "hour": user % 24}}
    return json.dumps(asked).encode()


class Connection:
    """One keep-alive connection that asks and waits; a lean client leaves the processors alone."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, user: int) -> None:
        self.post("/v1/recommend", body(user))

    def post(self, path: str, content: bytes) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + content)
        answer = self.socket.recv(65_536)
        if not answer:  # it was idle for so long that the server has closed it
            self.socket.close()
            self.open()
            self.socket.sendall(head.encode() + content)
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        head_of_answer, _, rest = answer.partition(b"\r\n\r\n")
        status = head_of_answer.split(b" ", 2)[1]
        lines = head_of_answer.lower().split(b"\r\n")
        length = int(next(x for x in lines if x.startswith(b"content-length:")).split(b":")[1])
        while len(rest) < length:
            rest += self._more()
        if status != b"200":
            raise RuntimeError(f"status {status.decode()}")

    def _more(self) -> bytes:
        received = self.socket.recv(65_536)
        if not received:
            raise RuntimeError("the server has closed a connection in the middle of an answer")
        return received


@contextmanager
def server(bundle: Path, workers: int, max_batch_size: int) -> Generator[tuple[int, int]]:
    """Give the port and the process of a server."""
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "crosstower", "serve", str(bundle), "--port", str(port)]
        command += [
            "--state",
            state,
            "--workers",
            str(workers),
            "--max-batch-size",
            str(max_batch_size),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until_ready(port)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(60)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until_ready(port: int) -> None:
    until = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def resident_mb(process: int) -> float:
    """Return the memory of a process and its children in MB, shared pages counted once (PSS)."""
    lines = [ln for text in of_processes(process, "smaps_rollup") for ln in text.splitlines()]
    return sum(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def of_processes(process: int, file: str) -> Iterator[str]:
    """Yield a file of /proc of a process and of its children, as far as they are still there."""
    waiting = [process]
    while waiting:
        pid = waiting.pop()
        try:
            text = Path(f"/proc/{pid}/{file}").read_text()
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
        yield text


def open_loop(
    port: int, requests: list[tuple[str, float, bytes]]
) -> tuple[dict[str, list[float]], float]:
    """Send requests when they are due, whether or not earlier ones have been answered.

    Args:
        port: of the server.
        requests: path, seconds from the beginning, and body.

    Returns:
        Latencies in seconds since each request was due, by path; and the seconds that all took.

    """
    ordered = sorted(requests, key=lambda one: one[1])
    found: dict[str, list[float]] = {path: [] for path, *_ in ordered}
    begin = time.perf_counter() + 0.2

    def some(first: int) -> None:
        connection = Connection(port)
        for path, due, content in ordered[first::THREADS]:
            time.sleep(max(0.0, begin + due - time.perf_counter()))
            connection.post(path, content)
            found[path].append(time.perf_counter() - begin - due)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(some, range(THREADS)))
    return found, time.perf_counter() - begin


def quantiles(latencies: list[float]) -> str:
    p50, p95, p99 = 1e3 * np.quantile(latencies, [0.5, 0.95, 0.99])
    return f"{p50:.1f} | {p95:.1f} | {p99:.1f} | {1e3 * max(latencies):.1f}"


def in_a_process(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks", "serve", "--part", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout
