"""Counts of a server: those of its requests equal those of a training at the same instants."""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from crosstower.data.counters.counted_source import counted_source_of
from crosstower.errors import RunError
from crosstower.funnel.online.counters import counts_of
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.recipe.events import EventLog
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.counting import live_counts
from crosstower.serving.state.event_export import export_events
from crosstower.serving.state.event_log import microseconds
from crosstower.serving.state.events import Event
from crosstower.serving.state.live_counts import LiveCounts
from crosstower.serving.state.state import State
from crosstower.training.run import Run

from ...fixtures.counted_films import CountedFilms, later
from ..conftest import Start, event
from .client import problem, service_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AS_EXPORTED = {"user": "user", "film": "item_id", "device": "query.device"}


class Clock:
    """A clock that a test sets, in seconds after the last training row; gives nanoseconds."""

    seconds = 0.0

    def __call__(self) -> int:
        return 1_000 * microseconds(later(self.seconds))


def serve(bundle: Bundle, state: State, clock: Clock) -> tuple[Live, LiveCounts]:
    """Open a bundle with the events of a state, as a worker does."""
    live = Live.open(bundle)
    assert live.counters is not None
    live.counters.now = clock
    counts = live_counts(live, state)
    assert counts is not None
    return live, counts


def counted(films: CountedFilms, rows: pl.DataFrame, state: Path, folder: Path) -> pl.DataFrame:
    """Return counts of rows as a training would, from the log and an export of the state."""
    export_events(state, folder / "export.parquet", force=True)
    recipe = films.ranking.recipe
    logs = [*recipe.data.events, EventLog(path=str(folder / "export.parquet"), columns=AS_EXPORTED)]
    data = recipe.data.model_copy(update={"events": tuple(logs)})
    source = counted_source_of(recipe.model_copy(update={"data": data}), rows)
    names = [count.column for count in recipe.schema_.counts()]
    return pl.concat([chunk.frame for chunk in source.chunks(names)])


def events_of(random: np.random.Generator, start: float, end: float, turn: int) -> list[Event]:
    """Return events from a time on, some of them after another, also of unknown films."""
    return [
        Event(
            event_id=f"{turn}-{n}",
            type=str(random.choice(["click", "impression", "impression", "purchase"])),
            time=later(float(random.uniform(start, end + (20_000 if n % 5 == 0 else 0)))),
            user=int(random.integers(0, 8)),
            item_id=f"f{random.integers(0, 33):02d}",
            query={"device": str(random.choice(["tv", "phone", "web"]))},
        )
        for n in range(40)
    ]


def rows_of(live: Live, found: Ranked, user: Any, device: str) -> pl.DataFrame:
    """Return the candidates of a list as rows of a training, at the instant of their counts."""
    assert found.counted is not None
    films = live.needs_funnel.catalogue.items.ids(found.places)
    instant = EPOCH + timedelta(microseconds=found.counted.time // 1_000)
    size = len(films)
    return pl.DataFrame(
        {"user": [user] * size, "film": films, "device": [device] * size, "time": [instant] * size}
    )


def check(found: Sequence[Ranked], expected: pl.DataFrame) -> None:
    start = 0
    for one in found:
        assert one.counted is not None
        mine = expected[start : start + len(one.places)]
        for count, numbers in one.counted.counts.items():
            assert numbers.tolist() == mine[count.column].to_list()
        start += len(one.places)
    assert start == expected.height


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state") as opened:
        yield opened


def test_requests_count_what_training_counts_at_the_same_instants(
    counted_films: CountedFilms, state: State, tmp_path: Path
) -> None:
    random, clock = np.random.default_rng(0), Clock()
    live, counts = serve(counted_films.bundle, state, clock)
    found, rows = list[Ranked](), list[pl.DataFrame]()
    for turn in range(8):
        # No event is late: training has all of them, a server only those that it has by then.
        start, clock.seconds = clock.seconds, clock.seconds + 3_000.0
        state.add_events(events_of(random, start, clock.seconds, turn))
        counts.catch_up()
        for step in (0.0, 1e-6, 7.5):
            clock.seconds += step
            user, device = int(random.integers(0, 9)), str(random.choice(["tv", "web"]))
            request = FunnelRequest(user=user, query={"device": device}, k=5, explain=True)
            found.append(live.needs_funnel.recommend(request))
            rows.append(rows_of(live, found[-1], user, device))
    expected = counted(counted_films, pl.concat(rows), tmp_path / "state", tmp_path)
    assert all(expected[name].max() > 1 for name in expected.columns)
    check(found, expected)


def test_a_bundle_that_only_ranks_counts_by_the_same_columns(
    counted_films: CountedFilms, state: State, tmp_path: Path
) -> None:
    clock = Clock()
    clock.seconds = 5_000.0
    state.add_events(events_of(np.random.default_rng(1), 0.0, 5_000.0, 0))
    live, _ = serve(counted_films.rows_only, state, clock)
    plain = {"user": [1, 2, 3], "film": ["f01", "f02", "f31"], "device": ["tv", "web", "phone"]}
    rows = pl.DataFrame(plain)
    found = live.needs_rows.rank(FunnelRequest(explain=True), rows.to_dicts())
    instant = EPOCH + timedelta(microseconds=clock() // 1_000)
    timed = rows.with_columns(time=pl.lit(instant))[found.places]
    check([found], counted(counted_films, timed, tmp_path / "state", tmp_path))


def test_a_query_that_lacks_a_key_counts_nothing_by_it(
    counted_films: CountedFilms, state: State
) -> None:
    live, _ = serve(counted_films.bundle, state, Clock())
    found = live.needs_funnel.recommend(FunnelRequest(query={"device": "tv"}, explain=True))
    assert live.counters is not None
    assert found.counted is not None
    shown = [live.counters.shown(found.counted, row) for row in range(len(found.places))]
    assert {tuple(one["busy"]) for one in shown} == {(0,)}
    assert {tuple(one["taste"]) for one in shown} == {(0, 0)}
    assert max(one["clicks"][0] for one in shown) > 1


def test_requests_of_a_batch_are_counted_at_their_own_instants(
    counted_films: CountedFilms, state: State
) -> None:
    clock = Clock()
    live, counts = serve(counted_films.bundle, state, clock)
    events = [
        Event(event_id=f"{n}", type="click", time=later(n), user=1, item_id="f03")
        for n in range(1, 9)
    ]
    state.add_events(events)
    counts.catch_up()
    counters = live.counters
    assert counters is not None

    def ticking() -> int:
        clock.seconds += 1.5
        return clock()

    counters.now = ticking
    requests = [FunnelRequest(user=user, k=3, explain=True) for user in (1, 2, 1, 3)]
    together = live.needs_funnel.recommend_each(requests)
    clock.seconds = 0.0
    alone, _ = serve(counted_films.bundle, state, clock)
    assert alone.counters is not None
    alone.counters.now = ticking
    for request, found in zip(requests, together, strict=True):
        single = alone.needs_funnel.recommend(request)
        assert isinstance(found, Ranked)
        assert found.counted is not None
        assert single.counted is not None
        assert found.counted.time == single.counted.time
        assert found.score.tolist() == single.score.tolist()
        for count, numbers in single.counted.counts.items():
            assert found.counted.counts[count].tolist() == numbers.tolist()


def test_a_new_item_has_the_events_by_its_own_columns(
    counted_films: CountedFilms, state: State
) -> None:
    clock = Clock()
    live, counts = serve(counted_films.own, state, clock)
    catalogue, counters = live.needs_funnel.catalogue, live.counters
    assert counters is not None
    click = Event(event_id="a", type="click", time=later(1), user=99, item_id="new")
    state.add_events([click])
    counts.catch_up()
    clock.seconds = 60.0

    def taste() -> list[int]:
        """Return the counts of user 99 for a film of genre 2."""
        found = live.needs_funnel.rank(FunnelRequest(user=99, explain=True), ["f02"])
        assert found.counted is not None
        return counters.shown(found.counted, 0)["taste"]

    assert taste() == [0, 0]
    catalogue.put(catalogue.encode([{"film": "new", "genre": 2}]))
    counts.catch_up()
    assert taste() == [1, 0]
    catalogue.put(catalogue.encode([{"film": "new", "genre": 1}]))
    assert not counts.renew()  # few events are recounted at once
    assert taste() == [0, 0]
    catalogue.put(catalogue.encode([{"film": "new", "genre": 2}]))
    assert not counts.renew()
    catalogue.delete(["new"])
    counts.catch_up()
    assert taste() == [1, 0]  # what users did with a deleted item still counts


def test_counts_that_are_missing_in_a_bundle_are_reported(
    counted_films: CountedFilms, tmp_path: Path
) -> None:
    folder = tmp_path / "ranking"
    shutil.copytree(counted_films.ranking.folder, folder)
    shutil.rmtree(folder / "counters")
    with pytest.raises(RunError, match=r"counters: missing, but the ranker reads counts of events"):
        counts_of(Run.open(folder))


def rank(client: Any, films: list[str], **body: Any) -> dict[str, dict[str, list[int]]]:
    """Return the counts of films by name."""
    answer = client.post("/v1/rank", json={"items": films, "explain": True, **body})
    assert answer.status_code == 200, answer.text
    return {item["item_id"]: item["counts"] for item in answer.json()["items"]}


def post(client: TestClient, *events: dict[str, Any]) -> None:
    answer = client.post("/v1/events", json={"events": list(events)})
    assert answer.status_code == 200, answer.text


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that other workers fulfil within a second."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_event_counts_in_the_next_response_of_every_worker_and_after_a_restart(
    counted_films: CountedFilms, start: Start
) -> None:
    ours, theirs = (start(counted_films.bundle.folder) for _ in range(2))
    assert rank(ours, ["f07"], user="new")["f07"]["clicks"] == [0]
    post(ours, event(user="new", item_id="f07"))
    post(theirs, event(user="new", item_id="f07", time=ago(40)), event(user=5, item_id="f10"))
    restarted = start(counted_films.bundle.folder)
    for client in (ours, theirs, restarted):
        found = rank(client, ["f07", "f10", "f08"], user="new", query={"device": "tv"})
        # The delay of `taste` is 30 s; f07 and f10 have the same genre.
        assert found["f07"] == {
            "clicks": [2], "rate": [2, 0], "taste": [1, 0], "busy": [2], "screen": [0],
        }  # fmt: skip
        assert (found["f10"]["clicks"], found["f10"]["taste"]) == ([1], [1, 0])
        assert (found["f08"]["clicks"], found["f08"]["taste"]) == ([0], [0, 0])


def test_explain_shows_counts_in_lists_and_rows(counted_films: CountedFilms, start: Start) -> None:
    client = start(counted_films.bundle.folder)
    post(client, event(user=5, item_id="f07", query={"device": "tv"}))
    row = {"user": 5, "film": "f07", "device": "tv"}
    for path, body in (
        ("/v1/rank", {"rows": [row]}),
        ("/v1/recommend", {"user": 6, "k": 30, "query": {"device": "tv"}}),
    ):
        plain = client.post(path, json=body).json()
        assert plain["items"][0].get("counts") is None
        answer = client.post(path, json={**body, "explain": True}).json()
        counted = {str(item["item_id"]): item["counts"] for item in answer["items"]}
        assert counted["0" if "rows" in body else "f07"]["screen"] == [1]
        instant = datetime.fromisoformat(answer["counted_until"])
        assert timedelta(0) <= datetime.now(UTC) - instant < timedelta(minutes=1)


def test_a_row_without_a_key_column_is_refused(counted_films: CountedFilms, start: Start) -> None:
    client = start(counted_films.bundle.folder)
    answer = client.post("/v1/rank", json={"rows": [{"film": "f07", "device": "tv"}]})
    assert "no column 'user', which the ranker reads" in problem(answer, 422)["detail"]
    row = {"film": "f07", "device": "tv", "user": 1}
    hidden = counted_films.ranking.recipe.schema_.counts()[0].column
    for name in ("clicks", hidden):
        answer = client.post("/v1/rank", json={"rows": [{**row, name: 5}]})
        shown = problem(answer, 422)["detail"].partition("the ranker reads: ")[2]
        assert set(shown.split(", ")) >= {"film", "device", "user"}
        assert "\0" not in shown


@pytest.mark.slow
def test_erased_users_and_deleted_events_count_no_more(
    counted_films: CountedFilms, start: Start, tmp_path: Path
) -> None:
    ours, theirs = (start(counted_films.bundle.folder) for _ in range(2))
    clicks = [event(user=n % 2, item_id="f07", time=ago(60 * n)) for n in range(1, 10)]
    post(ours, *clicks)
    assert rank(theirs, ["f07"], user=1)["f07"]["clicks"] == [9]
    assert ours.delete("/v1/users", params={"id": "1"}).json()["events"] == 5
    assert rank(ours, ["f07"], user=1)["f07"] == {
        "clicks": [4], "rate": [4, 0], "taste": [0, 0], "busy": [0], "screen": [0],
    }  # fmt: skip
    until(lambda: rank(theirs, ["f07"], user=1)["f07"]["clicks"] == [4])
    with State.open(tmp_path / "state") as state:  # as `crosstower events --delete-before`
        assert state.delete_events(datetime.now(UTC) - timedelta(minutes=5)) == 2
    for client in (ours, theirs):
        until(lambda c=client: rank(c, ["f07"], user=0)["f07"]["busy"] == [2])


def test_metrics_tell_what_became_of_events(counted_films: CountedFilms, start: Start) -> None:
    client = start(counted_films.bundle.folder)
    post(
        client,
        event(user=1, item_id="f07"),
        event(user=1, item_id="f07", time=(datetime.now(UTC) + timedelta(days=1)).isoformat()),
        event(user=1, item_id=None),
        event(user=1, item_id="f07", type="other"),
    )
    rank(client, ["f07"], user=1)
    version = service_of(client).version
    service_of(client)._show_figures()
    text = client.get("/metrics").text

    def figure(outcome: str) -> float:
        name = f'crosstower_counter_events{{outcome="{outcome}",version="{version}"}}'
        return float(re.search(rf"^{re.escape(name)} (\S+)", text, re.M)[1])  # type: ignore[index]

    # A click is in five counts: by film (twice), user and genre, user, and device and genre. The
    # first lacks the device, and waits in the count with a delay; the third lacks the film.
    assert (figure("keyed"), figure("no_key"), figure("future")) == (9, 6, 5)
    assert figure("unknown_item") == figure("dropped") == 0
