import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from crosstower.cli.events import events_app
from crosstower.errors import QueryError, ServeError
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a folder with six events of two days, in the current one."""
    monkeypatch.chdir(tmp_path)
    with State.open("state") as opened:
        opened.add_events(
            [
                Event(
                    event_id=str(n),
                    type="click" if n % 3 == 0 else "impression",
                    time=datetime(2026, 1, 1 + n % 2, 12, tzinfo=UTC),
                    query={"device": "tv", "mixed": n if n % 2 else str(n)},
                )
                for n in range(6)
            ]
        )
    return "state"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(events_app, list(arguments))


def test_the_table_has_counts_by_type(state: str) -> None:
    done = run(state)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    rows = [line.split() for line in lines]
    assert [row for row in rows if row[:1] in (["click"], ["impression"])] == [
        ["click", "2"],
        ["impression", "4"],
    ]
    note = "Note: query.mixed has no column of its own (objects, values of several types"
    assert note in done.stdout.replace("\n", " ")
    assert lines[-1] == "events.parquet: 6 events"
    assert max(map(len, lines)) <= 100
    assert pl.read_parquet("events.parquet")["query.device"].to_list() == ["tv"] * 6


def test_json_is_for_machines(state: str) -> None:
    done = run(state, "-o", "a.parquet", "--json")
    assert json.loads(done.stdout) == {
        "output": "a.parquet",
        "events": {"click": 2, "impression": 4},
        "only_json": ["query.mixed"],
        "more_keys": False,
    }


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--after", "2026-01-02"], ["1", "3", "5"]),
        (["--until", "2026-01-02"], ["0", "2", "4"]),
        (["--after", "2026-01-02T13:00:00+01:00"], ["1", "3", "5"]),
        (["--after", "2026-01-02T12:00:00.000001Z"], []),
        (["--type", "click"], ["0", "3"]),
        (["--type", "click", "--type", "impression", "--until", "2026-01-02"], ["0", "2", "4"]),
    ],
)
def test_events_are_chosen_by_time_and_type(state: str, options: list[str], ids: list[str]) -> None:
    done = run(state, *options)
    assert done.stdout.splitlines()[-1] == f"events.parquet: {len(ids)} events"
    assert pl.read_parquet("events.parquet")["event_id"].to_list() == ids


def test_a_file_is_replaced_only_by_force(state: str) -> None:
    Path("events.parquet").write_text("mine")
    assert isinstance(run(state).exception, ServeError)
    assert Path("events.parquet").read_text() == "mine"
    assert "such as events.parquet" in str(run(state, "-o", "events.json").exception)
    assert run(state, "--force").exit_code == 0
    assert pl.read_parquet("events.parquet").height == 6


def test_wrong_options_are_refused_by_name(state: str) -> None:
    error = run(state, "--until", "tomorrow").exception
    assert isinstance(error, QueryError)
    assert str(error).startswith("--until: expected a date or time such as 2026-01-31")
    assert str(error).endswith("got 'tomorrow'")
    error = run("nowhere").exception
    assert isinstance(error, ServeError)
    assert "nowhere: not the state of a server" in str(error)
    assert not Path("nowhere").exists()


def test_events_are_deleted_before_a_date(state: str) -> None:
    assert run(state, "--delete-before", "2026-01-02").stdout.startswith("3 events deleted, 3 left")
    assert json.loads(run(state, "--delete-before", "2026-01-02", "--json").stdout) == {
        "deleted": 0,
        "left": 3,
    }
    assert not Path("events.parquet").exists()
    assert run(state).exit_code == 0
    assert pl.read_parquet("events.parquet")["time"].dt.day().to_list() == [2, 2, 2]
    for more in (("-o", "a.parquet"), ("--type", "click"), ("--after", "2026-01-01")):
        assert isinstance(run(state, "--delete-before", "2026-01-02", *more).exception, QueryError)


def test_deleted_events_make_room(state: str) -> None:
    with State.open(state) as opened:
        rows = [
            Event(event_id=f"x{n}", type="view", attributes={"a": "x" * 90}) for n in range(900)
        ]
        opened.add_events(rows)
        before = opened.size()
        assert opened.delete_events(datetime(2100, 1, 1, tzinfo=UTC)) == 906
        assert opened.events() == 0
        assert opened.size() < before / 2


def test_types_cannot_move_the_cursor(state: str) -> None:
    with State.open(state) as opened:
        kinds = ["\x1b[2J\x1b]0;owned\x07", "[red]x[/red]", "line\nbreak", "\x9b31m"]
        opened.add_events([Event(event_id=f"k{n}", type=k) for n, k in enumerate(kinds)])
        opened.add_events([Event(event_id="mixed", type="a", query={"\x1b[31m": [1, "a"]})])
    shown = run(state).stdout
    assert not {c for c in shown if not c.isprintable()} - {"\n"}
    assert r"\x1b[2J" in shown
    assert "[red]x[/red]" in shown
    assert r"\x9b31m" in shown
