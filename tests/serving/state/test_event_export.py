import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.errors import QueryError, ServeError
from crosstower.serving.state import event_log
from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.events import Event
from crosstower.serving.state.opening import FILE
from crosstower.serving.state.state import State

DAY = datetime(2026, 1, 1, tzinfo=UTC)
FIXED = {
    "event_id": pl.String,
    "type": pl.String,
    "time": pl.Datetime("us", "UTC"),
    "request_id": pl.String,
    "user": pl.String,
    "item_id": pl.String,
    "rank": pl.Int64,
    "value": pl.Float64,
    "query": pl.String,
    "attributes": pl.String,
}


def kept(home: str, *given: dict[str, Any]) -> str:
    """Write events to a state and return its address."""
    with State.open(home) as state:
        rows = [{"event_id": str(n), "type": "click", "time": DAY} | g for n, g in enumerate(given)]
        assert state.add_events([Event(**row) for row in rows])[:2] == (len(given), 0)
    return home


def test_days_follow_one_another_without_overlap(home: str, tmp_path: Path) -> None:
    times = [DAY + timedelta(hours=h) for h in (0, 11, 12, 23, 24)] + [DAY - timedelta(days=30_000)]
    kinds = ["view", "click", "view", "click", "view", "view"]
    given = [{"time": t, "type": k} for t, k in zip(times, kinds, strict=True)]
    state, out = kept(home, *given), tmp_path / "out.parquet"

    def ids(**selection: Any) -> list[str]:
        counts = export_events(state, out, **selection, force=True).counts
        table = pl.read_parquet(out)
        assert counts == dict(sorted(table["type"].value_counts().iter_rows()))
        return table["event_id"].to_list()

    noon = (DAY + timedelta(hours=12)).astimezone(timezone(timedelta(hours=-5)))
    assert ids() == ["0", "1", "2", "3", "4", "5"]
    assert ids(until=noon) == ["0", "1", "5"]
    assert ids(after=noon) == ["2", "3", "4"]
    assert ids(after=DAY, until=noon) == ["0", "1"]
    assert ids(types=["click"]) == ["1", "3"]
    assert ids(types=["click", "view"], after=noon) == ["2", "3", "4"]
    assert ids(types=["oops"]) == []
    assert dict(pl.read_parquet(out).schema) == FIXED


def test_chunks_are_one_file(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "_CHUNK", 3)
    given = [{"query": {"n": n} if n % 2 else None, "user": n} for n in range(10)]
    given[8]["query"] = {"late": ["x"], "n": 0.5}
    state = kept(home, *given)
    export_events(state, tmp_path / "out.parquet")
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert table["user"].to_list() == list(range(10))
    assert table["query.n"].to_list() == [None, 1, None, 3, None, 5, None, 7, 0.5, 9]
    assert table["query.late"].to_list() == [None] * 8 + [["x"], None]


def test_it_can_run_while_a_server_writes(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "_CHUNK", 7)
    state = kept(home, *({"query": {"n": n}} for n in range(200)))
    stop, started = threading.Event(), threading.Event()

    def write() -> None:
        with State.open(state) as server:
            n = 0
            while not stop.is_set():
                n += 1
                # another type under the same key: must not reach an export that has begun
                server.add_events([Event(event_id=f"new{n}", type="view", query={"n": "text"})])
                started.set()

    thread = threading.Thread(target=write)
    thread.start()
    started.wait()
    for place in range(3):
        found = export_events(state, tmp_path / f"{place}.parquet", types=["click"])
        assert found.counts == {"click": 200}
        both = export_events(state, tmp_path / f"both{place}.parquet")
        assert pl.read_parquet(tmp_path / f"both{place}.parquet").height == both.events
        assert both.only_json == ("query.n",)
    stop.set()
    thread.join()


def test_events_of_a_killed_server_are_there(home: str, tmp_path: Path) -> None:
    script = """
import os, signal, sys
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State
state = State.open(sys.argv[1])
state.add_events([Event(event_id=str(n), type="click") for n in range(100)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script, home]
    assert subprocess.run(command, check=False).returncode == -9
    assert export_events(home, tmp_path / "out.parquet").counts == {"click": 100}


def test_no_events_are_an_empty_file_of_the_same_columns(home: str, tmp_path: Path) -> None:
    state = kept(home)
    assert export_events(state, tmp_path / "out.parquet").counts == {}
    table = pl.read_parquet(tmp_path / "out.parquet")
    assert (table.height, dict(table.schema)) == (0, FIXED)


def test_a_wrong_request_is_refused_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    state, out = tmp_path / "state", tmp_path / "out.parquet"
    kept(str(state), {})
    out.write_text("mine")
    with pytest.raises(ServeError, match=r"out\.parquet: already exists; choose another"):
        export_events(state, out)
    with pytest.raises(
        QueryError, match=r"after: expected a time with a time zone, got 2026-01-01"
    ):
        export_events(state, out, after=datetime(2026, 1, 1), force=True)
    with pytest.raises(QueryError, match=r"until: expected a time after 2026-01-01 00:00:00"):
        export_events(state, out, after=DAY, until=DAY, force=True)
    with pytest.raises(ServeError, match="not the state of a server"):
        export_events(tmp_path, out, force=True)
    with pytest.raises(
        ServeError, match=r"x\.parquet: cannot be written: no folder .*no; create it"
    ):
        export_events(state, tmp_path / "no" / "x.parquet")
    (state / FILE).write_bytes(b"damaged" * 1000)
    with pytest.raises(ServeError, match="is damaged"):
        export_events(state, out, force=True)
    assert out.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"state", "out.parquet"}
