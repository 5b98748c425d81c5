"""The server as its own processes: killed, swapped under load, stopped."""

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.http.app import create_app
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.event_export import export_events

from ...fixtures.funnels import Runs
from ..processes import Server, serving

pytestmark = pytest.mark.slow

LISTING = {"city": "Atlantis", "price": 50.0, "amenities": ["wifi"]}


class Writer(threading.Thread):
    """Puts, deletes and reports as fast as it can; remembers what was acknowledged."""

    def __init__(self, server: Server, first: int) -> None:
        super().__init__()
        self.server, self.first = server, first
        self.items: dict[int, bool] = {}
        self.events: list[str] = []
        self.ended = False

    def run(self) -> None:
        with self.server.client() as client:
            for number in itertools.count(self.first):
                try:
                    self._write(client, number)
                except httpx.TransportError:
                    if self.ended:
                        return
                    raise

    def _write(self, client: httpx.Client, number: int) -> None:
        row = {**LISTING, "listing_id": number}
        self.items.pop(number, None)
        if client.put("/v1/items", json={"items": [row]}).status_code == 200:
            self.items[number] = True
        if number % 3 == 0:
            del self.items[number]  # until it is served, either may be so
            if client.delete("/v1/items", params={"id": number}).status_code == 200:
                self.items[number] = False
        event = {"event_id": f"e{number}", "type": "click", "item_id": number}
        if client.post("/v1/events", json={"events": [event]}).status_code == 200:
            self.events.append(event["event_id"])


class Asker(threading.Thread):
    """Asks for recommendations and swaps bundles in between; remembers the statuses."""

    def __init__(self, server: Server, bundles: list[Path]) -> None:
        super().__init__()
        self.server, self.bundles = server, bundles
        self.statuses = Counter[tuple[str, int]]()
        self.ended = False

    def run(self) -> None:
        with self.server.client() as client:
            for number in itertools.count():
                try:
                    self._ask(client, number)
                except httpx.TransportError:
                    if self.ended:
                        return
                    raise

    def _ask(self, client: httpx.Client, number: int) -> None:
        answer = client.post("/v1/recommend", json={"user": number % 50, "k": 5})
        self.statuses["recommend", answer.status_code] += 1
        if number % 10 == 5:
            other = self.bundles[number // 10 % len(self.bundles)]
            answer = client.post("/v1/model", json={"path": str(other)})
            self.statuses["swap", answer.status_code] += 1


def found(client: httpx.Client) -> set[int]:
    body = {"user": 1, "k": 1_000, "candidates": 1_000, "where": "city == 'Atlantis'"}
    return {i["item_id"] for i in client.post("/v1/recommend", json=body).json()["items"]}


def killed_under_load(server: Server, bundles: list[Path], first: int) -> list[Writer]:
    """Write, ask and swap until there is enough, kill the server, and return the writers."""
    writers = [Writer(server, first), Writer(server, first + 10_000)]
    asker = Asker(server, bundles)
    threads = [*writers, asker]
    for thread in threads:
        thread.start()
    wait_until(lambda: asker.statuses["swap", 200] >= 2 and all(len(w.events) > 9 for w in writers))
    for thread in threads:
        thread.ended = True
    server.kill()
    for thread in threads:
        thread.join()
    assert {status for _, status in asker.statuses} <= {200, 503}
    return writers


def test_what_was_acknowledged_survives_kill_9(
    bundle: Bundle, blended: Runs, tmp_path: Path
) -> None:
    fresh = make_bundle([blended.retrieval, blended.ranking], tmp_path / "fresh", index="exact")
    expected: dict[int, bool] = {}
    events: set[str] = set()
    for turn in range(2):
        with serving(bundle.folder, tmp_path / "state", "--workers", "2") as server:
            with server.client() as client:
                there = found(client)
                assert {n for n, kept in expected.items() if kept} <= there
                assert not {n for n, kept in expected.items() if not kept} & there
            bundles = [fresh.folder, bundle.folder]
            for writer in killed_under_load(server, bundles, 20_000 * (turn + 1)):
                expected |= writer.items
                events |= set(writer.events)
    app = create_app(Settings(bundle=bundle.folder, state=tmp_path / "state"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        there = found(client)
        assert {n for n, kept in expected.items() if kept} <= there
        assert not {n for n, kept in expected.items() if not kept} & there
    export_events(tmp_path / "state", tmp_path / "events.parquet")
    kept = pl.read_parquet(tmp_path / "events.parquet")["event_id"]
    assert events <= set(kept)
    assert kept.n_unique() == len(kept)


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def until_all_serve(version: str, responses: list[tuple[int, str]]) -> None:
    """Wait until no worker serves another version."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        newest = responses[-20:]
        if len(newest) == 20 and {found for _, found in newest} == {version}:
            return
        time.sleep(0.1)
    raise AssertionError(f"no {version} from all workers: {Counter(responses)}")


def test_a_swap_under_load_fails_no_request(bundle: Bundle, blended: Runs, tmp_path: Path) -> None:
    fresh = make_bundle([blended.retrieval, blended.ranking], tmp_path / "fresh", index="ann")
    with serving(bundle.folder, tmp_path / "state", "--workers", "2") as server:
        done, responses = threading.Event(), list[tuple[int, str]]()

        def load(user: int) -> None:
            with server.client() as client:
                while not done.is_set():
                    response = client.post("/v1/recommend", json={"user": user, "k": 5})
                    responses.append((response.status_code, response.json().get("version", "")))

        with ThreadPoolExecutor(3) as pool, server.client() as client:
            loading = [pool.submit(load, user) for user in range(3)]
            time.sleep(0.5)
            for folder, status in ((tmp_path, 422), (fresh.folder, 200), (bundle.folder, 200)):
                response = client.post("/v1/model", json={"path": str(folder)})
                assert response.status_code == status, response.text
                if status == 200:
                    until_all_serve(response.json()["version"], responses)
            done.set()
            for one in loading:
                one.result()
    assert {status for status, _ in responses} == {200}
    assert {version for _, version in responses} == {bundle.version, fresh.version}


def test_a_request_that_is_being_served_is_finished(bundle: Bundle, tmp_path: Path) -> None:
    with serving(bundle.folder, tmp_path / "state") as server, server.client() as client:
        responses: list[Any] = []

        def ask() -> None:
            body = {"user": 5, "k": 50, "stages": True}
            with server.client() as mine:
                responses.extend(mine.post("/v1/recommend", json=body) for _ in range(3))

        assert client.get("/healthz").status_code == 200
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in (0, -signal.SIGTERM)
        assert [response.status_code for response in responses] == [200] * 3


@pytest.mark.parametrize("workers", ["1", "2"])
def test_figures_are_those_of_all_workers(bundle: Bundle, tmp_path: Path, workers: str) -> None:
    with serving(bundle.folder, tmp_path / "state", "--workers", workers) as server:
        for _ in range(12):  # a connection each, which any worker may take
            assert httpx.post(f"{server.url}/v1/recommend", json={"user": 1}).status_code == 200
        text = httpx.get(f"{server.url}/metrics").text
    assert 'crosstower_requests_total{route="/v1/recommend",status="200"} 12.0' in text
    assert "crosstower_items 1500.0" in text
