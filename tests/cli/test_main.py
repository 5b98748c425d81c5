import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from crosstower import __version__

from .command_line import Capture, run


@pytest.mark.slow
def test_the_journey_of_a_newcomer(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "init", "rows.parquet", "-o", "mine.yaml")
    assert (code, "crosstower fit mine.yaml" in out) == (0, True)
    code, out, err = run(capsys, "fit", "mine.yaml", "-o", "training.epochs=2", "--seeds", "2")
    assert code == 0
    assert err.startswith("dcn_v2 seed 0 epoch 1: loss ")
    assert len(err.splitlines()) == 3 * 2 * 2  # models, seeds, epochs
    assert "report: runs/mine/report.html" in out
    assert "better than chance" in out
    assert max(len(line) for line in out.splitlines()) <= 100
    code, out, _ = run(capsys, "evaluate", "runs/mine")
    assert (code, "AUC" in out) == (0, True)
    code, out, _ = run(capsys, "predict", "runs/mine", "rows.parquet", "--column", "user_id")
    assert (code, out) == (0, "predictions.parquet: 1,200 rows\n")
    assert pl.read_parquet("predictions.parquet").columns == ["user_id", "click__prediction"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fit", "none.yaml"], 2, "none.yaml: no such recipe"),
        (["fit", "--resume", "runs/none"], 5, "runs/none: no such run"),
        (["fit", "small.yaml", "-o", "training.epoch=3"], 2, "did you mean 'epochs'"),
        (["fit", "small.yaml", "-o", "data.path=none.csv"], 3, "none.csv: no such file"),
        (["fit", "small.yaml", "--out", "."], 5, "already exists"),
        (["evaluate", "none"], 5, "no run in this folder"),
        (["predict", "none", "rows.parquet"], 5, "no run in this folder"),
        (["predict", "none", "rows.parquet", "--precision", "half"], 2, "--precision"),
        (["init", "none.parquet"], 3, "no such file"),
        (["init", "rows.parquet", "-o", "small.yaml"], 5, "already exists"),
        (["init", "rows.parquet", "--task", "clik"], 3, "did you mean 'click'"),
        (["data", "get", "adlt"], 3, "did you mean 'adult'"),
        (["data", "get", "world:x"], 2, "no world 'x'"),
        (["data", "get", "adult", "--rows", "5"], 5, "only synthetic datasets"),
        (["fit", "small.yaml", "--seeds", "0"], 2, "seeds"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_errors_are_messages_with_exit_codes(
    here: Path, capsys: Capture, arguments: list[str], code: int, words: str
) -> None:
    before = sorted(here.rglob("*"))
    given, _, err = run(capsys, *arguments)
    assert (given, words in err, "Traceback" in err) == (code, True, False)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "command",
    [
        "init",
        "fit",
        "evaluate",
        "predict",
        "blend",
        "funnel",
        "off-policy",
        "export",
        "bundle",
        "serve",
        "events",
        "demo",
        "doctor",
        "validate",
        "data list",
        "experiment report",
    ],
)
def test_help_has_an_example(capsys: Capture, command: str) -> None:
    code, out, _ = run(capsys, *command.split(), "--help")
    assert (code, f"crosstower {command}" in out, "Example" in out) == (0, True, True)


def test_the_version_is_printed(capsys: Capture) -> None:
    assert run(capsys, "--version") == (0, f"crosstower {__version__}\n", "")


def test_help_groups_the_commands_in_the_order_of_the_work(capsys: Capture) -> None:
    _, out, _ = run(capsys, "--help")
    groups = ["Data", "Train", "Retrieve", "Rank and blend", "Serve"]
    places = [out.index(f"─ {group} ─") for group in groups]
    assert places == sorted(places)
    assert "─ Commands ─" not in out  # every command has a group
    assert "│ policy" not in out


def test_help_of_all_names_commands_and_exit_codes(capsys: Capture) -> None:
    _, out, _ = run(capsys, "--help")
    commands = (
        "init",
        "fit",
        "evaluate",
        "predict",
        "blend",
        "funnel",
        "off-policy",
        "demo",
        "data",
    )
    commands += ("bundle", "serve", "export", "events", "experiment")
    assert [c for c in (*commands, "Exit codes") if c not in out] == []


def test_the_installed_command_runs() -> None:
    command = [sys.executable, "-c", "from crosstower.cli.main import main; main()", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout


def test_a_shell_completes_commands_and_options() -> None:
    program = "import sys; sys.argv[0] = 'crosstower'; from crosstower.cli.main import main; main()"
    for words, found in (("crosstower doc", "doctor"), ("crosstower doctor --fol", "--folder")):
        asked = {"COMP_WORDS": words, "COMP_CWORD": f"{len(words.split()) - 1}"}
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "_CROSSTOWER_COMPLETE": "complete_bash", **asked},
        )
        assert done.stdout.split() == [found]


def test_the_terminal_breaks_the_lines_of_a_help_text(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    code, out, _ = run(capsys, "serve", "--help")
    paragraph = next(line for line in out.splitlines() if "Items and events that" in line)
    assert (code, paragraph.strip().endswith("share a state in PostgreSQL.")) == (0, True)
