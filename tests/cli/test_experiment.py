"""`crosstower experiment report` as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosstower.cli.experiment import experiment_app
from crosstower.cli.main import app
from crosstower.errors import CrosstowerError, QueryError
from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.serving.state.state import State

from ..fixtures.experiment_log import TEXT, events, experiment, stored


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A file of experiments and one of events."""
    text = TEXT.strip().replace("\n", "\n    ")
    (tmp_path / "experiments.yaml").write_text(f"experiments:\n  - {text}\n")
    events(users=300, lift=0.5).write_parquet(tmp_path / "events.parquet")
    return str(tmp_path / "experiments.yaml"), str(tmp_path / "events.parquet")


def asked(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["experiment", "report", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_prints_verdicts_and_tables(files: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    out = asked(files[0], "--events", files[1], "--html", str(page))
    assert max(len(line) for line in out.splitlines()) <= 100
    report = experiment_report(events(users=300, lift=0.5), experiment())
    joined = " ".join(out.split())
    for words in (*report.verdicts, *report.notes):
        assert " ".join(words.split()) in joined
    for words in ("Users by arm", "Lift over control", "Lift in clicks by segment", "device = tv"):
        assert words in out
    assert "<h1>likes</h1>" in page.read_text()


def test_the_command_prints_json_up_to_a_time(files: tuple[str, str]) -> None:
    plain = json.loads(asked(files[0], "--events", files[1], "--until", "2026-11-04", "--json"))
    assert plain["name"] == "likes"
    assert plain["until"] < "2026-11-04"
    assert len(plain["daily"]["likes"]) == 2


def test_the_command_reads_the_state_of_a_server(files: tuple[str, str], tmp_path: Path) -> None:
    frame = events(users=40)
    with State.open(tmp_path / "state") as state:
        state.add_events(stored(frame))
    plain = json.loads(asked(files[0], "--state", str(tmp_path / "state"), "--json"))
    expected = experiment_report(frame, experiment()).plain()
    assert plain == expected


def test_events_come_from_one_place(files: tuple[str, str]) -> None:
    for more in ([], ["--state", "s", "--events", files[1]]):
        with pytest.raises(QueryError, match="give either --state STATE or --events FILE"):
            CliRunner().invoke(experiment_app, [files[0], *more], catch_exceptions=False)
    with pytest.raises(CrosstowerError, match="--until: expected a date or time"):
        asked(files[0], "--events", files[1], "--until", "soon")
