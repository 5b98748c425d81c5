"""kill -9 in the middle of everything: python -m benchmarks kills [--state ADDRESS].

Writers send events (some twice, some late), put and delete items, and erase users, while another
client asks for recommendations. At a random moment the whole server, or one of its workers, gets
SIGKILL. Then the log must hold every acknowledged event once and no erased one, and after a restart
the histories that the server reports must equal a replay of the log in plain Python, and every item
must be there or gone as acknowledged. A write without a response may have happened or not.
"""

import argparse
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from benchmarks.client import free_port, wait_until_ready
from benchmarks.loop_models import first_models
from benchmarks.machine import describe
from crosstower.data.datasets.worlds import DriftingFeed
from crosstower.serving.state.address import state_address
from crosstower.serving.state.event_export import export_events

USERS, ITEMS, LENGTH, CHECKED = 40, 400, 100, 8
BORN = 1_700_000_000  # seconds, of items that are put
_KINDS = ("events", "put", "delete", "erase")
_SHARES = (0.80, 0.10, 0.07, 0.03)


@dataclass(frozen=True)
class Sent:
    """An event as a writer has sent it."""

    user: int
    item: int
    time: datetime
    kind: str


@dataclass
class Writer:
    """A client with users and new items of its own, and what the server has told it."""

    number: int
    random: np.random.Generator
    stored: dict[str, Sent] = field(default_factory=dict)  # acknowledged
    open: dict[str, Sent] = field(default_factory=dict)  # sent, without a response
    erased: set[str] = field(default_factory=set)
    items: dict[int, bool | None] = field(default_factory=dict)  # whether it is there; None: unsure
    counts: Counter[str] = field(default_factory=Counter)

    def write(self, client: httpx.Client) -> None:
        """Send one write."""
        kind = str(self.random.choice(_KINDS, p=_SHARES))
        work: dict[str, Callable[[httpx.Client], None]] = {
            "events": self._events, "put": self._put, "delete": self._delete, "erase": self._erase,
        }  # fmt: skip
        work[kind](client)
        self.counts[kind] += 1

    def _events(self, client: httpx.Client) -> None:
        sent = {f"{self.number}-{self.random.integers(2**62)}": self._event() for _ in range(3)}
        if self.stored and self.random.random() < 0.2:  # once more
            name = str(self.random.choice(list(self.stored)))
            sent[name] = self.stored[name]
        new = {name: one for name, one in sent.items() if name not in self.stored}
        self.open |= new
        events = [
            {"event_id": name, "type": e.kind, "user": e.user, "item_id": e.item,
             "time": e.time.isoformat()}
            for name, e in sent.items()
        ]  # fmt: skip
        _done(client.post("/v1/events", json={"events": events}))
        self.stored |= new
        for name in new:
            del self.open[name]

    def _event(self) -> Sent:
        user = int(self.random.integers(USERS // 4)) * 4 + self.number
        items = [*range(ITEMS), *self.items]
        late = timedelta(minutes=float(self.random.exponential(5.0)))
        time_ = datetime.now(UTC) - (late if self.random.random() < 0.2 else timedelta())
        kind = "click" if self.random.random() < 0.7 else "impression"
        return Sent(user, int(self.random.choice(items)), time_, kind)

    def _put(self, client: httpx.Client) -> None:
        item = 1_000_000 * (self.number + 1) + int(self.random.integers(50))
        row = {"item_id": item, "topic": "topic_1", "content_type": "article", "born": BORN}
        self.items[item] = None
        _done(client.put("/v1/items", json={"items": [row]}))
        self.items[item] = True

    def _delete(self, client: httpx.Client) -> None:
        if self.items:
            item = int(self.random.choice(list(self.items)))
            self.items[item] = None
            _done(client.delete("/v1/items", params={"id": item}))
            self.items[item] = False

    def _erase(self, client: httpx.Client) -> None:
        user = int(self.random.integers(USERS // 4)) * 4 + self.number
        of_user = {name for name, one in self.stored.items() if one.user == user}
        self.open |= {name: self.stored.pop(name) for name in of_user}
        _done(client.delete("/v1/users", params={"id": user}))
        gone = {name for name, one in self.open.items() if one.user == user}
        self.erased |= gone
        self.open = {name: one for name, one in self.open.items() if name not in gone}


def _done(response: httpx.Response) -> None:
    if response.status_code != 200:
        raise httpx.TransportError(f"{response.status_code} {response.text[:200]}")


class Killed:
    """A server with two workers that is killed now and then."""

    def __init__(self, bundle: Path, state: str, log: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "crosstower", "serve", str(bundle), "--workers", "2"]
        command += ["--port", str(self.port)]
        environment = {**os.environ, "CROSSTOWER_STATE": state, "TMPDIR": str(log.parent)}
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, start_new_session=True, env=environment
            )
        wait_until_ready(self.port)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_a_worker(self, random: np.random.Generator) -> None:
        """Kill one process below the first, if there is one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        if workers := children.read_text().split():
            os.kill(int(random.choice(workers)), signal.SIGKILL)


def life(server: Killed, writers: list[Writer], random: np.random.Generator) -> Counter[str]:
    """Let all clients work, kill the server, and return what they have sent."""
    over, served = threading.Event(), Counter[str]()

    def repeat(work: Callable[[httpx.Client], None]) -> None:
        with server.client() as client:
            while not over.is_set():
                try:
                    work(client)
                except httpx.HTTPError:
                    time.sleep(0.02)  # it is dead, restarts a worker, or is overloaded

    def recommend(client: httpx.Client) -> None:
        body = {"user": int(time.monotonic_ns() % USERS), "k": 10, "query": {"position": 1}}
        served[str(client.post("/v1/recommend", json=body).status_code)] += 1

    threads = [threading.Thread(target=repeat, args=(w.write,)) for w in writers]
    threads.append(threading.Thread(target=repeat, args=(recommend,)))
    for thread in threads:
        thread.start()
    if random.random() < 0.5:
        time.sleep(float(random.uniform(0.1, 1.0)))
        server.kill_a_worker(random)
    time.sleep(float(random.uniform(0.1, 1.5)))
    server.kill()
    over.set()
    for thread in threads:
        thread.join()
    return served


def settle(log: pl.DataFrame, writers: list[Writer]) -> None:
    """Compare the log with what was acknowledged, and learn which other writes happened."""
    names = Counter(log["event_id"].to_list())
    _require(max(names.values(), default=1) == 1, "an event is stored twice")
    for writer in writers:
        lost = writer.stored.keys() - names.keys()
        _require(not lost, f"acknowledged events are lost: {sorted(lost)[:3]}")
        _require(not writer.erased & names.keys(), "erased events are back")
        writer.stored |= {n: one for n, one in writer.open.items() if n in names}
        writer.erased |= writer.open.keys() - names.keys()
        writer.open = {}
    known = {name for writer in writers for name in writer.stored}
    _require(names.keys() <= known, "the log has events that were not sent")


def replay(log: pl.DataFrame, user: int) -> list[int]:
    """Return the items of a user's newest clicks: by time, then by arrival."""
    clicks = [
        (time_, number, item)
        for number, (owner, kind, time_, item) in enumerate(
            log.select("user", "type", "time", "item_id").iter_rows()
        )
        if owner == user and kind == "click"
    ]
    return [item for *_, item in sorted(clicks)[-LENGTH:]]


def compare(
    server: Killed, log: pl.DataFrame, writers: list[Writer], items: list[int], users: Sequence[int]
) -> None:
    """Compare histories and items of a restarted server with what they must be."""
    with server.client() as client:
        there = dict.fromkeys(items, True)
        for item, known in itertools.chain(*(writer.items.items() for writer in writers)):
            found = client.post("/v1/similar", json={"item": item, "k": 1}).status_code == 200
            _require(known in (None, found), f"item {item}: expected {known}, found {found}")
            there[item] = found
        for writer in writers:
            writer.items = {item: there[item] for item in writer.items}
        for user in users:
            response = client.get("/v1/users", params={"id": user})
            _require(response.status_code in (200, 404), f"user {user}: {response.text}")
            shown: dict[str, Any] = response.json()
            acting, waiting = (
                [e["item_id"] for e in shown.get(key, ()) if e["type"] is not None]
                for key in ("history", "unknown_items")
            )
            expected = replay(log, user)
            _require(
                acting == [i for i in expected if there.get(i)],
                f"user {user}: {acting} for {expected}",
            )
            _require(waiting == [i for i in expected if not there.get(i)], f"user {user}: unknown")


def trained(folder: Path, seed: int) -> tuple[Path, list[int]]:
    """Return a small bundle with live histories, and its items."""
    feed = DriftingFeed(seed, users=USERS, items=ITEMS, lifetime=1e6)
    items = feed.items(0)
    models = first_models(folder, feed.log(4_000), items, live=True, epochs=1, candidates=100)
    return models.bundle, items["item_id"].to_list()


def _require(fact: bool, words: str) -> None:
    if not fact:
        raise SystemExit(f"FAILED: {words}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", help="an empty schema of PostgreSQL (default: a folder)")
    options = parser.parse_args(arguments)
    shown = "a folder" if options.state is None else str(state_address(options.state))
    print(describe(**(vars(options) | {"state": shown})))
    random = np.random.default_rng(options.seed)
    writers = [Writer(n, np.random.default_rng((options.seed, n))) for n in range(4)]
    served, checked = Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        folder, bundle, items = Path(name), *trained(Path(name) / "first", options.seed)
        state, log_file = options.state or str(folder / "state"), folder / "server.log"
        server = Killed(bundle, state, log_file)
        try:
            for number in range(1, options.kills + 1):
                served += life(server, writers, random)
                export_events(state, folder / "log.parquet", force=True)
                log = pl.read_parquet(folder / "log.parquet")
                settle(log, writers)
                server = Killed(bundle, state, log_file)
                last = number == options.kills
                users = range(USERS) if last else random.choice(USERS, CHECKED, replace=False)
                compare(server, log, writers, items, [int(user) for user in users])
                checked += len(users)
                print(f"\rkills: {number}", end="", file=sys.stderr, flush=True)
        finally:
            server.kill()
    print(file=sys.stderr)
    writes = sum((writer.counts for writer in writers), Counter[str]())
    print(f"{options.kills} kills, {log.height:,} events in the log, {checked} histories compared")
    print("acknowledged: " + ", ".join(f"{writes[kind]:,} {kind}" for kind in _KINDS))
    print("recommendations by status: " + ", ".join(f"{k}: {v:,}" for k, v in served.items()))
    print("nothing acknowledged was lost, nothing erased came back, all histories as replayed")
