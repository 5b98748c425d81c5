import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.cli.main import main
from crosstower.recipe.csv import Csv
from crosstower.recipe.recipe import load_recipe


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Return (exit code, standard output, standard error) of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["crosstower", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


Capture = pytest.CaptureFixture[str]


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


def test_json_is_for_machines(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "fit", "small.yaml", "--json", "--out", "a")
    assert code == 0
    assert set(json.loads(out)) == {"joins", "tasks", "training", "peak_memory_mb"}
    _, out, _ = run(capsys, "evaluate", "a", "--json")
    assert json.loads(out)["click"]["wide_deep"]["auc"]["mean"] > 0.7


def test_evaluating_other_rows_and_writing_elsewhere(here: Path, capsys: Capture) -> None:
    run(capsys, "fit", "small.yaml", "--out", "a")
    code, out, _ = run(capsys, "evaluate", "a", "--data", "rows.parquet", "--out", "b.html")
    assert (code, "report: b.html" in out, "1,200 test rows" in out) == (0, True, True)
    code, out, _ = run(capsys, "evaluate", "a", "--out", "c.html")
    assert (code, Path("c.html").is_file(), "report: c.html" in out) == (0, True, True)


def test_a_run_folder_can_be_resumed(here: Path, capsys: Capture) -> None:
    run(capsys, "fit", "small.yaml", "--out", "a")
    code, out, _ = run(capsys, "fit", "--resume", "a")
    assert (code, "report: a/report.html" in out) == (0, True)
    code, out, _ = run(capsys, "fit", "small.yaml", "--resume", "--out", "a")
    assert code == 0


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
        (["data", "get", "adult", "--rows", "5"], 5, "only simulated worlds take it"),
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


def test_ctrl_c_before_the_training_is_said(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.fitting.fit.fit", stopped)
    assert run(capsys, "fit", "small.yaml") == (130, "", "crosstower: stopped by Ctrl-C\n")


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
        "data list",
    ],
)
def test_help_has_an_example(capsys: Capture, command: str) -> None:
    code, out, _ = run(capsys, *command.split(), "--help")
    assert (code, f"crosstower {command}" in out, "Example" in out) == (0, True, True)


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
    commands += ("bundle", "serve", "export", "events")
    assert [c for c in (*commands, "Exit codes") if c not in out] == []


def test_data_sets_and_worlds_are_listed(capsys: Capture) -> None:
    _, out, _ = run(capsys, "data", "list")
    assert "movielens-100k" in out
    assert "world:app_installs" in out
    assert max(len(line) for line in out.splitlines()) <= 100
    _, out, _ = run(capsys, "data", "list", "--json")
    assert set(json.loads(out)) >= {"adult", "world:rentals"}


def test_a_world_becomes_a_file_once(here: Path, capsys: Capture) -> None:
    command = ["data", "get", "world:rentals", "--rows", "50", "--out", "d"]
    code, out, _ = run(capsys, *command)
    assert (code, out) == (0, "d/rentals.parquet\n")
    assert pl.read_parquet("d/rentals.parquet").height == 50
    code, _, err = run(capsys, *command)
    assert (code, "is there already" in err) == (5, True)


def test_a_data_set_is_fetched(here: Path, capsys: Capture) -> None:
    (here / "d" / "adult").mkdir(parents=True)
    (here / "d" / "adult" / "adult.parquet").write_bytes(b"")
    code, out, _ = run(capsys, "data", "get", "adult", "--out", "d")
    assert (code, out) == (0, "d/adult/adult.parquet\n")


def test_the_demo_tells_chance_from_skill(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "demo", "--rows", "4000")
    assert code == 0
    assert "Best possible" in out
    assert (
        "no better than chance (0.5)" in out.split("pure chance")[-1].split("Watch next: find")[0]
    )
    assert sorted(p.name for p in (here / "runs").iterdir()) == [
        "demo-app-installs",
        "demo-feed-bundle",
        "demo-feed-ranking",
        "demo-feed-retrieval",
        "demo-pure-chance",
        "demo-rentals-bundle",
        "demo-rentals-listings.parquet",
        "demo-rentals-ranking",
        "demo-rentals-retrieval",
        "demo-watch-next-retrieval",
    ]


def test_ctrl_c_outside_training_is_no_traceback(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.data.reading.source_of", stop)
    code, out, err = run(capsys, "init", "rows.parquet")
    assert (code, "Traceback" in out + err) == (130, False)
    assert not Path("recipe.yaml").exists()


def test_the_installed_command_runs() -> None:
    command = [sys.executable, "-c", "from crosstower.cli.main import main; main()", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout


def test_init_writes_how_a_csv_file_is_written(here: Path, capsys: Capture) -> None:
    content = "film_id;año;click\n" + "".join(
        f"{i % 9};{1990 + i % 7};{i % 2}\n" for i in range(60)
    )
    (here / "rows.csv").write_bytes(content.replace("1993", "NA").encode("latin-1"))
    code, _, err = run(capsys, "init", "rows.csv", "-o", "mine.yaml")
    assert (code, "set data.csv.encoding" in err) == (3, True)
    options = ["--encoding", "latin-1", "--null-value", "NA"]
    code, *_ = run(capsys, "init", "rows.csv", "-o", "mine.yaml", *options)
    recipe = load_recipe("mine.yaml")
    assert code == 0
    assert recipe.data.csv == Csv(encoding="latin-1", null_values=("NA",))
    assert recipe.schema_.columns["año"].kind in ("numeric", "categorical")
