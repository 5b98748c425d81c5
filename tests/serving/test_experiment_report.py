"""The report of an experiment from a state folder."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import DataError, QueryError, ServeError
from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.serving.experiment_report import state_report
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

from ..fixtures.experiment_log import events, experiment, stored

FRAME = events(users=60)
_SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state with the events of an experiment, and others that its report does not read."""
    state_folder = tmp_path_factory.mktemp("experiment") / "state"
    odd = [
        Event(event_id="view", type="view", time=datetime(2026, 12, 1, tzinfo=UTC), user=1),
        Event(event_id="old", type="click", time=datetime(2020, 1, 1, tzinfo=UTC), user=1),
    ]
    with State.open(state_folder) as state:
        state.add_events([*stored(FRAME), *odd])
    return state_folder


def test_a_state_gives_the_report_of_its_events(folder: Path) -> None:
    assert (
        state_report(folder, experiment()).plain() == experiment_report(FRAME, experiment()).plain()
    )


def test_segments_are_attributes_of_users_where_the_query_has_none(tmp_path: Path) -> None:
    devices = FRAME.group_by("user").agg(pl.col("query.device").first()).iter_rows()
    given = {user: {"device": device} for user, device in devices}
    plain = FRAME.with_columns(pl.lit(None, pl.String).alias("query.device"))
    with State.open(tmp_path / "state") as state:
        state.add_events(stored(plain))
        without = state_report(tmp_path / "state", experiment())
        state.put_users(given)
    found = state_report(tmp_path / "state", experiment())
    assert found.plain() == experiment_report(FRAME, experiment()).plain()
    assert (without.lifts, without.segments) == (found.lifts, ())
    assert without.notes[0].startswith("No event has the segment 'device', so it is not reported")


def test_attributes_of_any_type_are_segments(tmp_path: Path) -> None:
    values = [["a", "b"], {"os": "x"}, True, 7, 0.5, "tv", None]
    users = FRAME["user"].unique().sort().to_list()
    plain = FRAME.with_columns(pl.lit(None, pl.String).alias("query.device"))
    with State.open(tmp_path / "state") as state:
        state.add_events(stored(plain))
        state.put_users({user: {"device": values[user % 7]} for user in users})
    texts = ['["a","b"]', '{"os":"x"}', "true", "7", "0.5", "tv", None]
    device = pl.Series([texts[user % 7] for user in FRAME["user"]], dtype=pl.String)
    expected = experiment_report(FRAME.with_columns(device.alias("query.device")), experiment())
    assert state_report(tmp_path / "state", experiment()).plain() == expected.plain()


def test_the_query_of_a_user_comes_before_the_attributes(tmp_path: Path) -> None:
    exposed = FRAME.filter(pl.col("attributes.arm").is_not_null())
    half = set(exposed["user"].unique().sort().to_list()[::2])
    own = pl.when(pl.col("user").is_in(half)).then(pl.lit("phone"))
    with State.open(tmp_path / "state") as state:
        state.add_events(stored(FRAME.with_columns(own.alias("query.device"))))
        state.put_users({user: {"device": "watch"} for user in FRAME["user"].unique()})
    found = state_report(tmp_path / "state", experiment())
    frame = FRAME.with_columns(own.otherwise(pl.lit("watch")).alias("query.device"))
    assert found.plain() == experiment_report(frame, experiment()).plain()
    assert {one.segment for one in found.segments} == {("device", "phone"), ("device", "watch")}


def test_events_of_the_future_wait_for_their_time(tmp_path: Path) -> None:
    present = datetime.now(UTC)
    tags = {"experiment": "likes", "arm": "control"}
    of_user = {"user": 1, "attributes": tags, "query": {"device": "tv"}}
    times = {"before": present - timedelta(days=1), "wrong clock": present + timedelta(days=9_000)}
    with State.open(tmp_path / "state") as state:
        state.add_events(
            [
                Event(event_id=name, type="impression", time=time, **of_user)
                for name, time in times.items()
            ]
        )
    assert state_report(tmp_path / "state", experiment()).until == times["before"]
    later = state_report(tmp_path / "state", experiment(), until=times["wrong clock"] + _SECOND)
    assert later.until == times["wrong clock"]


def test_until_ends_the_report(folder: Path) -> None:
    until = datetime(2026, 11, 4, tzinfo=UTC)
    found = state_report(folder, experiment(), until=until)
    assert found.plain() == experiment_report(FRAME, experiment(), until=until).plain()
    with pytest.raises(QueryError, match="until: expected a time after"):
        state_report(folder, experiment(), until=datetime(2020, 1, 1, tzinfo=UTC))


def test_too_many_events_are_refused_with_the_command_to_run(folder: Path) -> None:
    start = experiment().start - timedelta(days=7)
    read = FRAME.filter(FRAME["time"] >= start).height
    assert state_report(folder, experiment(), most_events=read).name == "likes"
    with pytest.raises(DataError, match=f"more than {read - 1:,} events of it.*experiment report"):
        state_report(folder, experiment(), most_events=read - 1)


def test_a_state_without_events_of_the_experiment_is_explained(tmp_path: Path) -> None:
    State.open(tmp_path / "state").close()
    with pytest.raises(DataError, match="no events of the types click, impression, purchase since"):
        state_report(tmp_path / "state", experiment())
    with pytest.raises(ServeError, match="not the state of a server"):
        state_report(tmp_path, experiment())


@pytest.mark.slow
def test_the_process_answers_with_the_report_or_the_problem(folder: Path) -> None:
    def answer(state: Path) -> dict[str, object]:
        given = {"experiment": experiment().model_dump_json(), "state": str(state)}
        child = [sys.executable, "-m", "crosstower.serving.experiment_report"]
        text = json.dumps(given | {"most_events": 10**6})
        done = subprocess.run(child, input=text, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    assert answer(folder) == {"report": experiment_report(FRAME, experiment()).plain()}
    missing = answer(folder / "none")
    assert missing["error"] == "ServeError"
    assert "not the state of a server" in str(missing["problem"])
