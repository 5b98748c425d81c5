"""Live users of a server of several processes: killed, and seen by all workers."""

import itertools
import json
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from crosstower.evaluation.experiments.assignment import Assignment
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.state import State

from ...fixtures.live_films import FILMS, UNTIL, LiveFilms
from ..processes import Server, serving

pytestmark = pytest.mark.slow

LATER = datetime.fromtimestamp(UNTIL, UTC)
USERS = 8


class Clicks(threading.Thread):
    """Posts clicks of users and puts their attributes; remembers what was acknowledged."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__()
        self.server, self.name_, self.random = server, name, random.Random(name)
        self.events: list[str] = []
        self.attributes: dict[str, int] = {}
        self.ended = False

    def run(self) -> None:
        with self.server.client() as client:
            for number in itertools.count():
                try:
                    self._write(client, number)
                except httpx.TransportError:
                    if self.ended:
                        return
                    raise

    def _write(self, client: httpx.Client, number: int) -> None:
        when = LATER + timedelta(seconds=self.random.uniform(1, 1_000))
        event = {
            "event_id": f"{self.name_}-{number}",
            "type": self.random.choice(["click", "purchase", "impression"]),
            "user": f"u{self.random.randrange(USERS)}",
            "item_id": f"f{self.random.randrange(FILMS):02d}",
            "time": when.isoformat(),
        }
        if client.post("/v1/events", json={"events": [event]}).status_code == 200:
            self.events.append(event["event_id"])
        own = f"own-{self.name_}"
        body = {"users": [{"user": own, "country": str(number)}]}
        if client.put("/v1/users", json=body).status_code == 200:
            self.attributes[own] = number


def replay(state: Path, folder: Path) -> dict[str, list[str]]:
    """Compute histories from an export of the log, by brute force."""
    export_events(state, folder / "events.parquet", force=True)
    log = pl.read_parquet(folder / "events.parquet").with_row_index("arrival")
    log = log.filter(pl.col("type").is_in(["click", "purchase"])).sort("time", "arrival")
    return {u: log.filter(user=u)["item_id"].to_list()[-20:] for u in log["user"].unique()}


def test_nothing_acknowledged_is_lost_and_histories_equal_a_replay(
    live_films: LiveFilms, tmp_path: Path
) -> None:
    known, attributes = set[str](), dict[str, int]()
    for turn in range(2):
        with serving(live_films.bundle.folder, tmp_path / "state", "--workers", "2") as server:
            clicks = [Clicks(server, f"{turn}-{n}") for n in range(2)]
            for one in clicks:
                one.start()
            time.sleep(1.5)
            for one in clicks:
                one.ended = True
            server.kill()
            for one in clicks:
                one.join()
                assert len(one.events) > 3
                known |= set(one.events)
                attributes |= one.attributes
    expected = replay(tmp_path / "state", tmp_path)
    assert known <= set(pl.read_parquet(tmp_path / "events.parquet")["event_id"])
    assert len(expected) == USERS
    with State.open(tmp_path / "state") as state:
        live, users = Live.open(live_films.bundle), WorkerUsers(state, ServerMetrics())
        users.serve(live)
        for user, items in expected.items():
            assert [row["item_id"] for row in users.show(live, user)["history"]] == items
        for user, number in attributes.items():
            assert int(users.show(live, user)["attributes"]["country"]) >= number


def test_other_workers_answer_from_an_event_within_a_second(
    live_films: LiveFilms, tmp_path: Path
) -> None:
    with serving(live_films.bundle.folder, tmp_path / "state", "--workers", "2") as server:
        clients = [server.client() for _ in range(6)]  # connections of both workers
        try:
            body = {"user": "new", "k": 30, "candidates": 30}
            assert all(len(items_of(client, body)) == 30 for client in clients)
            event = {"event_id": "a", "type": "click", "user": "new", "item_id": "f07"}
            assert clients[0].post("/v1/events", json={"events": [event]}).status_code == 200
            assert all("f07" not in items_of(client, body) for client in clients)  # at once
        finally:
            for client in clients:
                client.close()


def items_of(client: httpx.Client, body: dict[str, Any]) -> list[Any]:
    return [item["item_id"] for item in client.post("/v1/recommend", json=body).json()["items"]]


def test_two_workers_answer_each_arm_by_its_bundle(live_films: LiveFilms, tmp_path: Path) -> None:
    arms = {"old": {"share": 0.5}, "new": {"share": 0.5, "bundle": str(live_films.only.folder)}}
    one = {"name": "models", "start": "2020-01-01", "arms": arms}
    one["metrics"] = {"clicks": {"event": "click"}}
    file = tmp_path / "experiments.yaml"
    file.write_text(json.dumps({"experiments": [one]}))
    of = Assignment({"old": 0.5, "new": 0.5}, salt="models").of
    versions = {"old": live_films.bundle.version, "new": live_films.only.version}
    state = tmp_path / "state"
    more = ("--workers", "2", "--experiments", str(file))
    with serving(live_films.bundle.folder, state, *more) as server:
        for user in range(12):
            found = []
            for n in range(4):  # a connection each, which any worker may take
                item = {"item_id": f"f{n:02d}", "user": user, "type": "click"}
                event = {
                    **item,
                    "event_id": f"{user}-{n}",
                    "time": (LATER + timedelta(seconds=n + 1)).isoformat(),
                }
                with server.client() as client:
                    assert client.post("/v1/events", json={"events": [event]}).status_code == 200
                with server.client() as client:
                    response = client.post("/v1/recommend", json={"user": user, "k": 5}).json()
                assert (response["arm"], response["version"]) == (of(user), versions[of(user)])
                found.append([i["item_id"] for i in response["items"]])
            seen = [
                set(items) & {f"f{m:02d}" for m in range(n + 1)} for n, items in enumerate(found)
            ]
            assert seen == [set()] * 4
