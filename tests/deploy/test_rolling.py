"""Two replicas behind the proxy are restarted one after the other under load."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import polars as pl
import pytest

from crosstower.serving.bundle import Bundle

from .files import documents
from .replicas import Replica, proxied, running, wait_until

pytestmark = pytest.mark.slow

LISTING = {"city": "Atlantis", "price": 50.0, "amenities": ["wifi"]}


class Load(threading.Thread):
    """Writes items and events and asks for lists; keeps what was acknowledged."""

    def __init__(self, client: httpx.Client, first: int) -> None:
        super().__init__()
        self.client, self.first, self.ended = client, first, False
        self.items, self.events = list[int](), list[str]()
        self.statuses = Counter[tuple[str, int]]()

    def run(self) -> None:
        number = self.first
        while not self.ended:
            number += 1
            row, event = {**LISTING, "listing_id": number}, f"e{number}"
            if self.send("PUT", "/v1/items", {"items": [row]}):
                self.items.append(number)
            body = {"events": [{"event_id": event, "type": "click", "item_id": number}]}
            if self.send("POST", "/v1/events", body):
                self.events.append(event)
            self.send("POST", "/v1/recommend", {"user": number % 50, "k": 5})

    def send(self, method: str, path: str, body: dict[str, object]) -> bool:
        response = self.client.request(method, path, json=body)
        self.statuses[path, response.status_code] += 1
        return response.status_code == 200


def restart(replica: Replica, loads: list[Load]) -> None:
    """Restart a replica, under load before, meanwhile and afterwards."""

    def progress() -> None:
        before = [len(load.events) for load in loads]
        wait_until(
            lambda: all(len(x.events) > n + 3 for x, n in zip(loads, before, strict=True)), "writes"
        )

    progress()
    assert replica.stop() == -signal.SIGTERM  # after it has finished its requests
    progress()  # by the other replica
    replica.start()
    assert replica.probe("readiness")
    assert replica.probe("liveness")
    time.sleep(documents()["Deployment"]["spec"]["minReadySeconds"])
    progress()


def test_a_rolling_restart_loses_no_acknowledged_write(
    bundle: Bundle, postgres: str, tmp_path: Path
) -> None:
    replicas = [Replica(bundle.folder, postgres, tmp_path / f"r{n}") for n in (1, 2)]
    with running(replicas), proxied(replicas, tmp_path / "proxy") as client:
        assert client.get("/metrics").status_code == 404  # each replica has its own
        loads = [Load(client, 100_000 * n) for n in (1, 2)]
        for load in loads:
            load.start()
        try:
            for replica in replicas:
                restart(replica, loads)
        finally:
            for load in loads:
                load.ended = True
            for load in loads:
                load.join()
        statuses = loads[0].statuses + loads[1].statuses
        refused = (tmp_path / "proxy" / "log").read_text()
        assert {s for (path, s) in statuses if path != "/v1/recommend"} == {200}, refused
        assert {s for (_, s) in statuses} <= {200, 502}
        items = {item for load in loads for item in load.items}
        for replica in replicas:
            with replica.client() as own:
                assert items <= shown(own, items)
                text = own.get("/metrics").text
                assert "crosstower_requests_total" in text
        lines = [line for r in replicas for line in (r.folder / "log").read_text().splitlines()]
        assert all(json.loads(line)["time"] for line in lines)
        secret = urlsplit(postgres).password or ""
        assert secret
        assert not [line for line in lines if secret in line]
    events = [event for load in loads for event in load.events]
    stored = exported(postgres, tmp_path / "events.parquet")
    assert set(events) <= set(stored)
    assert stored.n_unique() == len(stored)


def shown(client: httpx.Client, items: set[int]) -> set[int]:
    """Return those of the items that a replica shows, in lists of some of them."""
    found, ordered = set[int](), sorted(items)
    for first in range(0, len(ordered), 500):
        last = ordered[min(first + 500, len(ordered)) - 1]
        where = f"listing_id >= {ordered[first]} and listing_id <= {last} and city == 'Atlantis'"
        body = {"user": 1, "k": 1_000, "candidates": 1_000, "where": where}
        response = client.post("/v1/recommend", json=body)
        assert response.status_code == 200, response.text
        found |= {item["item_id"] for item in response.json()["items"]}
    return found


def exported(state: str, path: Path) -> pl.Series:
    """Return the ids of all stored events."""
    environment = os.environ | {"CROSSTOWER_STATE": state}
    command = [sys.executable, "-m", "crosstower", "events", "-o", str(path)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    return pl.read_parquet(path)["event_id"]
