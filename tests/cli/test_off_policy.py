"""`crosstower off-policy` as a user types it."""

import json

import pytest
from typer.testing import CliRunner

from crosstower.cli.off_policy import off_policy_app
from crosstower.errors import CrosstowerWarning
from crosstower.experiments.off_policy.report import PolicyReport
from crosstower.training.run import Run


def asked(run: Run, *arguments: str) -> str:
    command = [
        "off-policy",
        str(run.folder),
        "--action",
        "item_id",
        "--propensity",
        "propensity",
        *arguments,
    ]
    result = CliRunner().invoke(off_policy_app, command, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_prints_a_table_and_a_sentence(
    bandit_run: Run, bandit_report: PolicyReport
) -> None:
    out = asked(bandit_run, "--slot", "place", "--clip", "2")
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
    assert "softmax, temperature 0.1 by" in asked(bandit_run, "--temperature", "0.1")


def test_the_command_prints_json_for_machines(bandit_run: Run, bandit_report: PolicyReport) -> None:
    plain = json.loads(asked(bandit_run, "--json"))
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
    assert old.stdout == asked(bandit_run, "--json")
    assert "│ policy " not in CliRunner().invoke(off_policy_app, ["--help"]).stdout
