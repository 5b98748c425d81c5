"""Live counts of a server of several processes: killed, restarted, and seen by all workers."""

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from ...fixtures.counted_films import CountedFilms
from ...fixtures.live_films import FILMS
from ..processes import Server, serving
from .test_counting import counted, rank

pytestmark = pytest.mark.slow

EVERY_FILM = [f"f{n:02d}" for n in range(FILMS)]


class Watching(threading.Thread):
    """Posts events of the last hours; remembers how many were acknowledged."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__()
        self.server, self.random, self.prefix = server, random.Random(name), name
        self.stored, self.ended = 0, False

    def run(self) -> None:
        number = 0
        with self.server.client() as client:
            while not self.ended:
                events = [self._event(number + n) for n in range(5)]
                number += len(events)
                try:
                    answer = client.post("/v1/events", json={"events": events})
                except httpx.TransportError:
                    return
                self.stored += answer.json()["stored"] if answer.status_code == 200 else 0

    def _event(self, number: int) -> dict[str, Any]:
        seconds = self.random.uniform(1, 7_200)
        return {
            "event_id": f"{self.prefix}-{number}",
            "type": self.random.choice(["click", "purchase", "impression"]),
            "user": self.random.randrange(4),
            "item_id": self.random.choice(EVERY_FILM),
            "time": (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(),
            "query": {"device": self.random.choice(["tv", "phone"])},
        }


def check(client: httpx.Client, films: CountedFilms, user: int, folder: Path) -> None:
    """Compare the counts of all films with those of a training at the same instant."""
    body = {"items": EVERY_FILM, "user": user, "query": {"device": "tv"}, "explain": True}
    answer = client.post("/v1/rank", json=body).json()
    shown = [item["item_id"] for item in answer["items"]]
    size, instant = len(shown), datetime.fromisoformat(answer["counted_until"])
    rows = pl.DataFrame(
        {"user": [user] * size, "film": shown, "device": ["tv"] * size, "time": [instant] * size}
    )
    expected = counted(films, rows, folder / "state", folder)
    for name, column in films.ranking.recipe.schema_.columns.items():
        names = [count.column for count in column.counts()]
        if names:
            wanted = [list(row) for row in expected.select(names).iter_rows()]
            assert [item["counts"][name] for item in answer["items"]] == wanted
    assert expected.to_numpy().max(axis=0).min() > 0


def test_counts_after_a_kill_equal_those_of_a_training(
    counted_films: CountedFilms, tmp_path: Path
) -> None:
    folder = counted_films.bundle.folder
    with serving(folder, tmp_path / "state", "--workers", "2") as server:
        threads = [Watching(server, f"{n}") for n in range(2)]
        for one in threads:
            one.start()
        end = time.monotonic() + 60
        while min(one.stored for one in threads) < 100 and time.monotonic() < end:
            time.sleep(0.1)
        server.kill()
        for one in threads:
            one.ended = True
            one.join()
        assert min(one.stored for one in threads) >= 100
    with serving(folder, tmp_path / "state", "--workers", "2") as server:
        clients = [server.client() for _ in range(5)]  # connections of both workers
        try:
            for user, client in enumerate(clients):
                check(client, counted_films, user % 4, tmp_path)
            before = rank(clients[0], ["f05"], user=1)["f05"]["clicks"]
            event = {"event_id": "last", "type": "click", "user": 1, "item_id": "f05"}
            assert clients[0].post("/v1/events", json={"events": [event]}).status_code == 200
            for client in clients:  # at once
                assert rank(client, ["f05"], user=1)["f05"]["clicks"] == [before[0] + 1]
        finally:
            for client in clients:
                client.close()
