"""Two servers with one state in PostgreSQL: killed, paused, cut off, and without the database."""

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.state import State

from ...fixtures.live_films import FILMS, LiveFilms
from ...fixtures.postgres import PASSWORD, OwnPostgres
from ...fixtures.tcp_proxy import TcpProxy
from ..conftest import Start
from ..processes import Server, serving
from .client import service_of

pytestmark = pytest.mark.slow

USERS, SECONDS = 5, 90
STALE = 2  # seconds without news after which a server is not ready


class Client(threading.Thread):
    """Asks for lists and writes, without a pause; remembers what was acknowledged.

    A response other than 200 or 503 ends it, as does a list that is not delivered.
    """

    def __init__(self, server: Server, name: str) -> None:
        super().__init__()
        self.server, self.prefix = server, name
        self.events = dict[str, str]()  # user by event
        self.films = dict[str, bool]()  # whether it is there
        self.statuses = Counter[tuple[str, int]]()
        self.unready = list[str]()
        self.fault: Exception | None = None
        self.ended = False

    def run(self) -> None:
        with self.server.client() as client:
            for number in itertools.count():
                if self.ended:
                    return
                try:
                    self._lists(client, number)
                    self._writes(client, number)
                except httpx.TransportError:
                    time.sleep(0.05)  # the server was killed, or is paused
                except Exception as error:
                    self.fault = error
                    return

    def _lists(self, client: httpx.Client, number: int) -> None:
        for user in (f"u{number % USERS}", f"{self.prefix}-new-{number}"):
            response = client.post("/v1/recommend", json={"user": user, "k": 5})
            self.statuses["list", response.status_code] += 1
            assert response.status_code == 200, response.text
            assert len(response.json()["items"]) == 5
        ready = client.get("/readyz")
        if ready.status_code != 200:
            self.unready.append(ready.json()["detail"])

    def _writes(self, client: httpx.Client, number: int) -> None:
        name, user = f"{self.prefix}-{number}", f"u{number % USERS}"
        film = f"f{number % FILMS:02d}"
        event = {"event_id": name, "type": "click", "user": user, "item_id": film}
        if self._done(client.post("/v1/events", json={"events": [event]})):
            self.events[name] = user
        film = f"{self.prefix}-{number % 9}"
        self.films.pop(film, None)  # until it is acknowledged, either may be so
        if number % 4 == 3:
            if self._done(client.delete("/v1/items", params={"id": film})):
                self.films[film] = False
        elif self._done(client.put("/v1/items", json={"items": [{"film": film, "genre": 1}]})):
            self.films[film] = True

    def _done(self, response: httpx.Response) -> bool:
        self.statuses["write", response.status_code] += 1
        assert response.status_code in (200, 503), response.text
        if response.status_code == 503:
            assert int(response.headers["Retry-After"]) > 0
            assert PASSWORD not in response.text
        return response.status_code == 200


def until(fact: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.05)


def behind(server: Server) -> tuple[int, Any]:
    with server.client() as client:
        response = client.get("/readyz")
    return response.status_code, response.json().get("state_behind")


def caught_up(server: Server) -> bool:
    status, seconds = behind(server)
    return status == 200 and seconds < STALE


def shown(server: Server, films: list[str]) -> tuple[Any, ...]:
    """Return what a server knows: histories, films that can be found, and the bundle."""
    with server.client() as client:
        users = [client.get("/v1/users", params={"id": f"u{n}"}).json() for n in range(USERS)]
        found = [client.post("/v1/similar", json={"item": f, "k": 1}).status_code for f in films]
        return users, found, client.get("/v1/model").json()["version"]


def test_what_one_replica_stores_all_of_them_know(
    schema: str, start: Start, live_films: LiveFilms
) -> None:
    one, two = (start(live_films.bundle.folder, state=schema) for _ in range(2))
    assert one.put("/v1/items", json={"items": [{"film": "new", "genre": 1}]}).status_code == 200
    event = {"event_id": "e", "type": "click", "user": "u", "item_id": "f03"}
    assert one.post("/v1/events", json={"events": [event]}).json() == {"stored": 1, "known": 0}
    assert two.post("/v1/events", json={"events": [event]}).json() == {"stored": 0, "known": 1}
    one.put("/v1/users", json={"users": [{"user": "u", "country": "FR"}]})

    def known() -> bool:
        found = two.get("/v1/users", params={"id": "u"}).json()
        items = [row["item_id"] for row in found.get("history", [])]
        similar = two.post("/v1/similar", json={"item": "new", "k": 1}).status_code
        return (found.get("attributes"), items, similar) == ({"country": "FR"}, ["f03"], 200)

    until(known)
    assert two.get("/readyz").json()["state_behind"] < SECONDS
    erased = one.delete("/v1/users", params={"id": "u"})
    assert erased.json() == {"users": 1, "events": 1}
    until(lambda: two.get("/v1/users", params={"id": "u"}).status_code == 404)
    swapped = one.post("/v1/model", json={"path": str(live_films.only.folder)})
    assert swapped.status_code == 200
    until(lambda: two.get("/v1/model").json()["version"] == live_films.only.version)


def test_a_list_that_cannot_be_logged_is_delivered_unless_logging_was_requested(
    schema: str, start: Start, live_films: LiveFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(live_films.bundle.folder, state=schema)
    service = service_of(client)
    monkeypatch.setattr(service, "settings", service.settings.model_copy(update={"log": True}))
    body = {"user": "u1", "k": 3}
    assert client.post("/v1/recommend", json=body).json()["logged"] is True
    away = "no response for 3 seconds"
    monkeypatch.setattr(service.state.database, "_away", lambda: away)
    found = client.post("/v1/recommend", json=body).json()
    assert (len(found["items"]), found["logged"]) == (3, False)
    refused = client.post("/v1/recommend", json=body | {"log": True})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert away in refused.json()["detail"]
    assert client.get("/v1/model").json()["number"] == 0
    text = client.get("/metrics").text
    assert "crosstower_unlogged_lists_total 1.0" in text
    assert 'crosstower_refused_total{reason="state"} 1.0' in text


def test_a_replica_without_the_chosen_bundle_is_not_ready(
    schema: str, start: Start, live_films: LiveFilms
) -> None:
    client = start(live_films.bundle.folder, state=schema)
    with State.open(schema) as state:
        state.set_bundle("/elsewhere/bundle")
    until(lambda: client.get("/readyz").status_code == 503)
    assert "/elsewhere/bundle" in client.get("/readyz").json()["detail"]
    assert client.post("/v1/recommend", json={"user": "u1"}).status_code == 200
    with State.open(schema) as state:
        state.set_bundle(live_films.bundle.folder)
    until(lambda: client.get("/readyz").status_code == 200)


def test_nothing_acknowledged_is_lost_and_all_replicas_end_equal(
    own_postgres: OwnPostgres, live_films: LiveFilms, tmp_path: Path
) -> None:
    direct, proxy = own_postgres.server, TcpProxy(own_postgres.server.port)
    address = direct.url()
    indirect = address.replace(str(direct.port), str(proxy.port))
    bundle, log = live_films.bundle.folder, tmp_path / "server.log"
    more = ("--max-staleness", str(STALE))
    with ExitStack() as stack:
        stack.callback(proxy.close)
        one, two = (
            stack.enter_context(serving(bundle, where, *more, log=log))
            for where in (address, indirect)
        )
        clients = [Client(server, name) for server, name in ((one, "a"), (one, "b"), (two, "c"))]
        for client in clients:
            client.start()

        def all_go_on() -> None:
            counts = [len(client.events) for client in clients]
            until(lambda: all(len(c.events) > n + 2 for c, n in zip(clients, counts, strict=True)))

        def refused(client: Client, more: int = 3) -> None:
            before = client.statuses["write", 503]
            until(lambda: client.statuses["write", 503] > before + more)

        def served(client: Client) -> None:
            before = client.statuses["list", 200]
            until(lambda: client.statuses["list", 200] > before + 4)

        try:
            all_go_on()

            own_postgres.kill()
            refused(clients[0])
            refused(clients[2])
            served(clients[0])
            until(lambda: behind(one)[0] == behind(two)[0] == 503)  # beyond the bound
            own_postgres.start()
            until(lambda: caught_up(one) and caught_up(two))
            all_go_on()

            proxy.mode = "hold"  # the second server hears nothing any more
            refused(clients[2])
            served(clients[2])
            assert caught_up(one)
            until(lambda: behind(two)[0] == 503)
            proxy.cut()
            proxy.mode = "forward"
            until(lambda: caught_up(two))
            all_go_on()

            os.killpg(two.process.pid, signal.SIGSTOP)  # perhaps within a transaction
            before = len(clients[0].events)
            until(lambda: len(clients[0].events) > before + 5)
            os.killpg(two.process.pid, signal.SIGCONT)
            until(lambda: caught_up(two))
            all_go_on()

            two.kill()
            before = len(clients[0].events)
            until(lambda: len(clients[0].events) > before + 5)
            two = stack.enter_context(serving(bundle, address, *more, log=log))
        except AssertionError as error:  # a client that has stopped explains why nothing continues
            raise next((c.fault for c in clients if c.fault), error) from error
        finally:
            for client in clients:
                client.ended = True
            for client in clients:
                client.join()
        assert [client.fault for client in clients] == [None] * 3
        assert any("more than --max-staleness 2" in words for words in clients[0].unready)
        until(lambda: caught_up(one) and caught_up(two))
        films = [film for client in clients for film in client.films]
        assert shown(one, films) == shown(two, films)
        there = [there for client in clients for there in client.films.values()]
        assert shown(one, films)[1] == [200 if one else 422 for one in there]
        export_events(address, tmp_path / "events.parquet")
    rows = pl.read_parquet(tmp_path / "events.parquet")
    stored = dict(rows.select("event_id", "user").iter_rows())
    assert len(stored) == rows.height
    acknowledged = {name: user for client in clients for name, user in client.events.items()}
    assert acknowledged.items() <= stored.items()
    assert {status for client in clients for _, status in client.statuses} == {200, 503}
    assert PASSWORD not in log.read_text()
