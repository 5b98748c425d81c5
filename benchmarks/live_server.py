"""A server for simulated and replayed traffic: one process, one client, public routes only."""

import mmap
import os
import struct
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from benchmarks.client import free_port, wait_until_ready

_ITEMS_AT_ONCE = 500
_SECOND = 1_000_000_000  # nanoseconds


class Clock:
    """The time of a simulation, which a server reads instead of its own; it never goes back.

    Args:
        path: of the file that holds it.
        seconds: the first time, since 1970.

    """

    def __init__(self, path: Path, seconds: int) -> None:
        path.write_bytes(struct.pack("<q", seconds * _SECOND))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8)
        self.path, self._seconds = path, seconds

    def reach(self, seconds: int) -> None:
        self._seconds = max(seconds, self._seconds)
        self._memory[:8] = struct.pack("<q", self._seconds * _SECOND)


class LiveServer:
    """A running `crosstower serve` and the requests that an application would send it."""

    def __init__(self, url: str, state: Path) -> None:
        self.client, self.state = httpx.Client(base_url=url, timeout=300), state

    def recommend(self, user: int, k: int, **more: Any) -> list[int]:
        return [row["item_id"] for row in self.answer(user, k, **more)["items"]]

    def answer(self, user: int, k: int, **more: Any) -> dict[str, Any]:
        return self._sent("POST", "/v1/recommend", json={"user": user, "k": k, **more})

    def events(self, events: Sequence[dict[str, Any]]) -> None:
        self._sent("POST", "/v1/events", json={"events": list(events)})

    def put(self, items: pl.DataFrame) -> None:
        for part in items.iter_slices(_ITEMS_AT_ONCE):
            self._sent("PUT", "/v1/items", json={"items": part.to_dicts()})

    def delete(self, items: Iterable[int]) -> None:
        ids = list(items)
        for start in range(0, len(ids), _ITEMS_AT_ONCE):
            self._sent("DELETE", "/v1/items", params={"id": ids[start : start + _ITEMS_AT_ONCE]})

    def swap(self, bundle: Path) -> None:
        self._sent("POST", "/v1/model", json={"path": str(bundle)})

    def follow(self, number: int, *, within: float = 300.0) -> None:
        """Wait until the server has opened a version."""
        end = time.monotonic() + within
        while self._sent("GET", "/v1/model")["number"] != number:
            if time.monotonic() > end:
                raise RuntimeError(f"version {number} is not served after {within:g} s")
            time.sleep(0.2)

    def export(self, output: Path) -> pl.DataFrame:
        """Return all events, by `crosstower events`."""
        command = [sys.executable, "-m", "crosstower", "events", str(self.state)]
        command += ["-o", str(output), "--force", "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return pl.read_parquet(output)

    def _sent(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = self.client.request(method, path, **more)
        if answer.status_code != 200:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()


@contextmanager
def live_server(bundle: Path, state: Path, clock: Clock | None = None) -> Generator[LiveServer]:
    """Serve a bundle with one worker until the block ends; it reads `clock` if there is one."""
    port = free_port()
    command = [sys.executable, "-m", "crosstower", "serve", str(bundle), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--state", str(state), "--queue-timeout", "300"],
        stdout=subprocess.DEVNULL,
        env=_environment(clock),
    )
    try:
        wait_until_ready(port)
        yield LiveServer(f"http://127.0.0.1:{port}", state)
    finally:
        process.terminate()
        process.wait(60)


def _environment(clock: Clock | None) -> dict[str, str]:
    if clock is None:
        return dict(os.environ)
    folders = [str(Path(__file__).parent / "clock"), os.environ.get("PYTHONPATH", "")]
    paths = os.pathsep.join(folder for folder in folders if folder)
    return {**os.environ, "PYTHONPATH": paths, "SIMULATED_CLOCK": str(clock.path)}


def timestamp(seconds: int) -> str:
    """Return the time of an event."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
