import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from crosstower.cli.retrain import REFUSED, retrain_app, sentence
from crosstower.errors import QueryError, RunError, ServeError
from crosstower.serving.retraining import retrain as module
from crosstower.serving.retraining.plan import RetrainPlan
from crosstower.serving.retraining.retrain import Retrained

from ..fixtures.live_films import LiveFilms

INTERRUPTED = 130


def result(outcome: Any = "published", **more: Any) -> Retrained:
    given: dict[str, Any] = {
        "outcome": outcome,
        "number": 3,
        "rows": 12_345,
        "reasons": (),
        "notes": (),
        "figures": {},
        "seconds": 41.2,
    }
    return Retrained(**(given | more))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Replace the retraining by a list of results, which records its arguments."""
    before = signal.getsignal(signal.SIGTERM)
    made: list[Any] = []

    def fake(bundle: Path, state: Path, **more: Any) -> Retrained:
        made.append((bundle, state, more))
        found = results.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    results: list[Any] = []
    monkeypatch.setattr(module, "retrain", fake)
    made.append(results)
    yield made
    signal.signal(signal.SIGTERM, before)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(retrain_app, list(arguments))


def test_the_state_and_the_plan_are_passed_on(calls: list[Any], tmp_path: Path) -> None:
    calls[0].append(result(notes=("rows left out: 3",)))
    (tmp_path / "plan.yaml").write_text("rows: {min_new: 7}")
    done = run("some/bundle", "--plan", str(tmp_path / "plan.yaml"), "--versions", "v")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Version 3 is live (12,345 new rows, 41 s)",
        "  Note: rows left out: 3",
    ]
    bundle, state, more = calls[1]
    assert bundle == Path("some/bundle")
    assert state.absolute() == Path("some/bundle.state").absolute()
    assert more["plan"] == RetrainPlan(rows={"min_new": 7})
    assert more["versions"] == Path("v")


def test_a_refused_version_has_its_own_exit_code(calls: list[Any]) -> None:
    calls[0].append(result("refused", reasons=("click: AUC is lower",)))
    done = run("bundle")
    assert done.exit_code == REFUSED
    assert "Version 3 was rejected; the live version stays" in done.stdout
    assert "  click: AUC is lower" in done.stdout
    calls[0].append(result("refused"))
    done = run("bundle", "--json")
    assert (done.exit_code, json.loads(done.stdout)["outcome"]) == (REFUSED, "refused")


def test_runs_of_the_command_line_are_told_apart(calls: list[Any], live_films: LiveFilms) -> None:
    calls[0].append(result())
    folders = [str(run.folder) for run in (live_films.ranking, live_films.retrieval)]
    assert run("bundle", "--from", folders[0], "--from", folders[1]).exit_code == 0
    runs = calls[1][2]["plan"].runs
    assert (runs.ranking, runs.retrieval) == tuple(folders)
    error = run("bundle", "--from", folders[0], "--from", folders[0]).exception
    assert isinstance(error, QueryError)
    assert "both ranking runs" in str(error)
    assert isinstance(run("bundle", "--from", "nowhere").exception, RunError)


def test_wrong_options_are_refused(calls: list[Any]) -> None:
    for arguments, match in (
        (["--every", "soon"], "--every: expected a duration above 0"),
        (["--every", "1d", "--until", "2026-01-01"], "--until: not allowed with --every"),
        (["--until", "tomorrow"], "--until: expected a date or time"),
    ):
        error = run("bundle", *arguments).exception
        assert isinstance(error, QueryError)
        assert str(error).startswith(match)
    assert len(calls) == 1


def test_it_repeats_until_it_is_stopped(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls[0] += [result(), result("skipped", number=None, rows=3, reasons=("too few",))]
    calls[0] += [ServeError("the disk is full"), result()]
    sleep = time.sleep

    def stop(seconds: float) -> None:
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", stop)
    done = run("bundle", "--every", "0.05s")
    assert done.exit_code == 0
    assert [line.partition("UTC  ")[2] for line in done.stdout.splitlines()] == [
        "Version 3 is live (12,345 new rows, 41 s)",
        "Skipped: too few new rows (3 new rows): too few",
        "failed: the disk is full",
        "Version 3 is live (12,345 new rows, 41 s)",
    ]
    assert "next attempt at" in done.stderr


def test_a_stop_during_an_attempt_is_an_interruption(calls: list[Any]) -> None:
    calls[0].append(KeyboardInterrupt())
    assert run("bundle", "--every", "1d").exit_code == INTERRUPTED


def test_json_is_one_line_per_attempt(calls: list[Any]) -> None:
    calls[0] += [result(), ServeError("full"), KeyboardInterrupt()]
    done = run("bundle", "--every", "0.01s", "--json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["outcome"], first["number"]) == ("published", 3)
    assert (second["outcome"], second["reasons"]) == ("failed", ["full"])


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("published", "Version 3 is live (12,345 new rows, 41 s)"),
        ("refused", "Version 3 was rejected; the live version stays (12,345 new rows, 41 s)"),
        ("skipped", "Skipped: too few new rows (12,345 new rows)"),
    ],
)
def test_a_result_is_a_sentence(outcome: str, words: str) -> None:
    assert sentence(result(outcome)) == words
