"""What became of stored events, in the metrics."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle.live import Live
from crosstower.serving.http import event_counts as module
from crosstower.serving.http.event_counts import EventCounts
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

from ...fixtures.live_films import UNTIL, LiveFilms
from ..conftest import Start
from .client import service_of

LATER = datetime.fromtimestamp(UNTIL + 1, UTC)


def event(number: Any, **more: Any) -> Event:
    given = {"type": "click", "user": 3, "item_id": "f01", "time": LATER} | more
    return Event(event_id=f"e{number}", **given)


EVENTS = [
    event(0),
    event(1, type="purchase", user="new"),
    event(2, time=LATER - timedelta(seconds=1)),
    event(3, time=datetime.now(UTC) + timedelta(hours=1)),
    event(4, item_id="x"),
    event(5, user=None),
    event(6, item_id=None),
    event(7, type="impression"),
    event(8, type="seen"),
    event(0, type="purchase"),  # known
]


class Counted(ServerMetrics):
    """Metrics that can be read again."""

    def __init__(self) -> None:
        super().__init__()
        self.types, self.outcomes = Counter[str](), Counter[str]()

    def events_of_type(self, kind: str, events: int) -> None:
        self.types[kind] += events

    def history_events(self, outcome: str, events: int) -> None:
        self.outcomes[outcome] += events


@pytest.mark.parametrize("at_once", [3, 2_000])
def test_stored_events_are_counted_by_type_and_outcome(
    live_films: LiveFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    live, metrics = Live.open(live_films.bundle), Counted()
    with State.open(tmp_path) as state:
        users = WorkerUsers(state, metrics)
        users.serve(live)
        state.add_events([event("other")])  # of another worker, which counts it
        for part in (EVENTS[:4], EVENTS[4:], EVENTS[:2]):
            users.counts.add(state.add_events(part))
        for _ in range(6):
            users.keep_up(live)
    assert metrics.types == {"click": 6, "purchase": 1, "other": 2}
    assert metrics.outcomes == {
        "used": 2, "unknown_user": 1, "trained": 1, "future": 1, "unknown_item": 1, "no_user": 1,
        "no_item": 1,
    }  # fmt: skip


def test_without_a_bundle_events_are_counted_by_type(tmp_path: Path) -> None:
    metrics = Counted()
    with State.open(tmp_path) as state:
        counts = EventCounts(state, metrics)
        counts.add(state.add_events(EVENTS))
        counts.count(None, None)
    assert (metrics.types, metrics.outcomes) == ({"other": 9}, {})


def test_the_metrics_of_a_server_have_them(live_films: LiveFilms, start: Start) -> None:
    client: TestClient = start(live_films.bundle.folder)
    rows = [one.model_dump(mode="json", exclude_none=True) for one in EVENTS]
    assert client.post("/v1/events", json={"events": rows}).json() == {"stored": 9, "known": 1}
    client.post("/v1/recommend", json={"user": 3})
    service = service_of(client)
    client.portal.call(service._thread.do, service._keep_up)  # type: ignore[union-attr]
    text = client.get("/metrics").text
    assert 'crosstower_events_total{type="click"} 6.0' in text
    assert 'crosstower_history_events_total{outcome="unknown_item"} 1.0' in text
    assert "crosstower_history_cache_items 3.0" in text  # a user, an item and an unknown one
    assert "crosstower_history_lag_events 0.0" in text
