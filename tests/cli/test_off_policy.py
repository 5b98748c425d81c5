"""`crosstower off-policy` as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.cli.off_policy import off_policy_app
from crosstower.errors import CrosstowerWarning, QueryError
from crosstower.fitting.off_policy.report import PolicyReport
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.off_policy import evaluate_logged
from crosstower.training.run import Run

from ..fixtures.bandit import printed
from ..fixtures.logged import log_lists


def test_the_command_prints_a_table_and_a_sentence(
    bandit_run: Run, bandit_report: PolicyReport
) -> None:
    out = printed(bandit_run, "--slot", "place", "--clip", "2")
    assert max(len(line) for line in out.splitlines()) <= 100
    assert f"click per row: {bandit_report.rows:,} rows, 5 actions" in out
    for words in (
        "best action by click",
        "uniform",
        "SNIPS",
        "doubly robust",
        "By slot",
        "determines colour",
    ):
        assert words in out
    logged = bandit_report.policies["logged"]["logged"].value
    assert f"{logged:.4g} as logged" in out
    assert "the policy is better than the log" in " ".join(out.split())
    assert "softmax, temperature 0.1 by" in printed(bandit_run, "--temperature", "0.1")


def test_the_command_prints_json_for_machines(bandit_run: Run, bandit_report: PolicyReport) -> None:
    plain = json.loads(printed(bandit_run, "--json"))
    robust = bandit_report.policies["model"]["doubly_robust"]
    found = plain["policies"]["model"]["doubly_robust"]
    assert found["value"] == robust.value
    assert (found["low"], found["high"]) == robust.interval()
    assert plain["verdicts"] == {"model": bandit_report.verdict()}
    assert (plain["item_columns"], plain["rows"], plain["slots"]) == (
        ["colour"],
        bandit_report.rows,
        {},
    )


def test_the_old_name_of_the_command_works_and_warns(bandit_run: Run) -> None:
    options = [str(bandit_run.folder), "--action", "item_id", "--propensity"]
    options += ["propensity", "--json"]
    with pytest.warns(CrosstowerWarning, match="crosstower policy is now crosstower off-policy"):
        old = CliRunner().invoke(off_policy_app, ["policy", *options])
    assert old.exit_code == 0
    assert old.stdout == printed(bandit_run, "--json")
    assert "│ policy " not in CliRunner().invoke(off_policy_app, ["--help"]).stdout


def test_one_command_reads_the_log_of_a_server(live: Live, bundle: Bundle, tmp_path: Path) -> None:
    log_lists(live, tmp_path, Epsilon(epsilon=0.6), lists=60)
    command = ["off-policy", str(bundle.folder), "--state", str(tmp_path), "--reward", "click"]
    result = CliRunner().invoke(off_policy_app, command, catch_exceptions=False)
    out = " ".join(result.stdout.split())
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    assert "click per row: 180 rows" in out
    assert "model: best action by blend__score; per place of 60 lists, among the" in out
    assert "add --refits" not in out
    plain = json.loads(CliRunner().invoke(off_policy_app, [*command, "--json"]).stdout)
    report = evaluate_logged(bundle, tmp_path)
    assert plain["policies"] == report.plain()["policies"]
    assert (plain["lists"], list(plain["slots"])) == (60, ["1", "2", "3"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], r"--action: is missing; name the column of the log, or give --state"),
        (["--action", "a"], r"--propensity: is missing"),
        (["--state", "s", "--action", "a"], r"--action: use it without --state"),
        (["--state", "s", "--item-column", "a"], r"--item-column: use it without --state"),
        (
            ["--action", "a", "--propensity", "p", "--event", "e"],
            r"--event: use it with --state only",
        ),
        (["--state", "s", "--after", "noon"], r"--after: expected a date or time"),
    ],
)
def test_options_of_the_other_kind_of_log_are_refused(options: list[str], words: str) -> None:
    with pytest.raises(QueryError, match=words):
        CliRunner().invoke(off_policy_app, ["off-policy", "x", *options], catch_exceptions=False)
