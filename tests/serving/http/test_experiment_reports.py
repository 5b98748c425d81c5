"""Reports of a server's experiments: as the command gives them, one process at a time, kept."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from crosstower.cli.main import app
from crosstower.errors import DataError, ServeError
from crosstower.evaluation.experiments.experiment_file import load_experiments
from crosstower.serving.http.experiment_reports import ExperimentReports
from crosstower.serving.http.problems import ApiError
from crosstower.serving.state.state import State

from ...fixtures.experiment_log import TEXT, events, stored
from ..conftest import TOKENS, Start
from .client import problem, service_of

ROUTE = "/v1/experiments/report"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    text = TEXT.replace("{like: 2}", "{booking: 2}").strip().replace("\n", "\n    ")
    path = tmp_path / "experiments.yaml"
    path.write_text(f"experiments:\n  - {text}\n")
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "logged"
    with State.open(folder) as state:
        state.add_events(stored(events(users=40)))
    return folder


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that are started."""
    found: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def counted(*arguments: str, **more: Any) -> asyncio.subprocess.Process:
        found.append(await start(*arguments, **more))
        return found[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", counted)
    return found


def rounded(text: str) -> dict[str, Any]:
    """Return JSON without the digits in which two processes differ."""
    return json.loads(text, parse_float=lambda number: round(float(number), 9))


def within(reports: ExperimentReports, work: Callable[[], Awaitable[Any]]) -> Any:
    async def running() -> Any:
        try:
            return await work()
        finally:
            await reports.stop()

    return asyncio.run(running())


def test_the_route_gives_the_report_of_the_command(start: Start, file: Path) -> None:
    client = start(experiments=file)
    service = service_of(client)
    service.state.add_events(stored(events(users=40)))
    response = client.get(ROUTE)
    arguments = ["experiment", "report", str(file), "--state", str(service.settings.state)]
    printed = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout
    found = rounded(response.text)
    assert datetime.fromisoformat(found.pop("computed")).utcoffset() is not None
    assert found == rounded(printed)
    service.state.add_events(stored(events(users=60))[-5:])
    assert client.get(f"{ROUTE}?name=likes").content == response.content
    words = problem(client.get(f"{ROUTE}?name=like"), 422)["detail"]
    assert "no experiment 'like'; did you mean 'likes'?" in words


def test_a_server_without_experiments_or_events_says_so(start: Start, file: Path) -> None:
    client = start()
    assert "--experiments FILE" in problem(client.get(ROUTE), 422)["detail"]
    client = start(experiments=file, state="empty")
    assert "no events of the types click" in problem(client.get(ROUTE), 422)["detail"]


def test_reports_need_a_token_for_admin(
    start: Start, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(client: TestClient, scope: str) -> Any:
        return client.get(ROUTE, headers={"Authorization": f"Bearer {TOKENS[scope]}"})

    start()  # forgets tokens of the environment
    for name, token in TOKENS.items():
        monkeypatch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
    client = start(experiments=file)
    problem(client.get(ROUTE), 401)
    words = problem(asked(client, "write"), 403)["detail"]
    assert "read reports of experiments; use a token for admin" in words
    assert asked(client, "admin").status_code == 422  # there are no events


def test_requests_for_a_report_share_one_process_until_it_is_old(
    file: Path, state: Path, processes: list[asyncio.subprocess.Process]
) -> None:
    reports = ExperimentReports(load_experiments(file), state)

    async def work() -> None:
        gone = asyncio.create_task(reports.of(None))
        await asyncio.sleep(0)
        gone.cancel()  # as of a client that closes its connection
        first, second = await asyncio.gather(reports.of(None), reports.of("likes"))
        assert first == second == await reports.of(None)
        assert first["name"] == "likes"
        assert len(processes) == 1

    within(reports, work)


@pytest.mark.slow
def test_a_report_that_is_too_old_is_computed_again(
    file: Path, state: Path, processes: list[asyncio.subprocess.Process]
) -> None:
    reports = ExperimentReports(load_experiments(file), state, kept_seconds=0)

    async def work() -> None:
        first, later = await reports.of(None), await reports.of(None)
        assert len(processes) == 2
        assert later["computed"] > first["computed"]
        assert later["users"] == first["users"]

    within(reports, work)


@pytest.mark.slow
def test_a_report_that_takes_too_long_or_has_too_many_events_is_refused(
    file: Path, state: Path, processes: list[asyncio.subprocess.Process]
) -> None:
    slow = ExperimentReports(load_experiments(file), state, most_seconds=0.01)
    with pytest.raises(ApiError, match=r"longer than 0\.01 seconds; run: crosstower experiment"):
        within(slow, lambda: slow.of(None))
    assert processes[0].returncode == -9
    many = ExperimentReports(load_experiments(file), state, most_events=10)
    with pytest.raises(DataError, match="more than 10 events"):
        within(many, lambda: many.of(None))
    none = ExperimentReports(load_experiments(file), state / "none")
    with pytest.raises(ServeError, match="not the state of a server"):
        within(none, lambda: none.of(None))


def test_a_stopped_server_leaves_no_process(
    file: Path, state: Path, processes: list[asyncio.subprocess.Process]
) -> None:
    reports = ExperimentReports(load_experiments(file), state)

    async def work() -> None:
        waiting = asyncio.create_task(reports.of(None))
        while not processes:
            await asyncio.sleep(0.01)
        await reports.stop()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    within(reports, work)
    assert processes[0].returncode == -9
