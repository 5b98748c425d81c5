"""`crosstower recommend`: one list, and the lists of many users."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.cli.recommend import print_summary
from crosstower.serving.batch_jobs.run import JobSummary
from crosstower.serving.bundle import Bundle
from crosstower.training.run import Run

from .command_line import Capture, run

pytestmark = pytest.mark.slow

SECONDS = 120


def test_one_list_of_a_run_or_a_bundle(film_run: Run, bundle: Bundle, capsys: Capture) -> None:
    code, out, _ = run(capsys, "recommend", film_run.folder, "--user", "42", "-k", "3", "--json")
    assert (code, len(json.loads(out))) == (0, 3)
    code, out, _ = run(capsys, "recommend", bundle.folder, "--user", "1", "-k", "3", "--json")
    expected = bundle.funnel().recommend(1, k=3)
    assert code == 0
    assert [row["item_id"] for row in json.loads(out)] == expected["item_id"].to_list()
    code, _, err = run(capsys, "recommend", bundle.folder, "--user", "1", "--seed", "0")
    assert (code, "is a bundle, which has one model per stage; drop it" in err) == (2, True)


def test_lists_of_all_users(film_run: Run, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "lists"
    batch = ("recommend", film_run.folder, "--users", "all", "-k", 5, "-o", out)
    sizes = ("--partition-size", 50)
    code, printed, err = run(capsys, *map(str, (*batch, *sizes)))
    assert code == 0, err
    assert printed.startswith(f"{out}: 120 users, 600 rows, 3 parts, ")
    assert pl.read_parquet(out / "*.parquet").height == 600
    (out / "part-00001.parquet").unlink()
    code, printed, _ = run(capsys, *map(str, (*batch, *sizes, "--json")))
    found = json.loads(printed)
    assert (code, found["kept"], found["partitions"], found["written"]) == (0, 2, 3, 600)
    code, _, err = run(capsys, *map(str, (*batch, "--partition-size", 60)))
    assert (code, "partition_size is 60, the finished parts have 50" in err) == (5, True)
    code, printed, _ = run(capsys, *map(str, (*batch, "--partition-size", 60, "--force")))
    assert (code, printed.startswith(f"{out}: 120 users, 600 rows, 2 parts, ")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--users", "all"], 2, "--users: needs a folder for the lists; give one with -o FOLDER"),
        (["--users", "all", "--user", "1"], 2, "--users: give no --user and no --query"),
        (["--user", "1", "-o", "lists"], 2, "--output: for batch jobs only; add --users all"),
        (["--user", "1", "--stages"], 2, "--stages: for batch jobs only"),
        (["--user", "1", "--processes", "2"], 2, "--processes: for batch jobs only"),
        (["--user", "1", "--engine", "ray"], 2, "--engine: for batch jobs only"),
        (["--user", "1", "--partition-size", "9"], 2, "--partition-size: for batch jobs only"),
        (["--user", "1", "--force"], 2, "--force: for batch jobs only"),
        (["--users", "none.parquet", "-o", "OUT"], 3, "none.parquet: no such file"),
        (["--users", "all", "-o", "OUT", "--where", "yaer > 3"], 2, "did you mean 'year'"),
        (["--users", "all", "-o", "OUT", "--candidates", "9"], 2, "has no ranker; drop it"),
    ],
)
def test_mistakes_get_a_sentence_and_a_code(
    film_run: Run, tmp_path: Path, capsys: Capture, *, arguments: list[str], code: int, words: str
) -> None:
    given = [a.replace("OUT", str(tmp_path / "out")) for a in arguments]
    found, out, err = run(capsys, "recommend", film_run.folder, *given)
    assert (found, words in err) == (code, True), err
    assert "Traceback" not in out + err
    assert not (tmp_path / "out").exists()


def test_a_killed_job_goes_on_and_ends_as_an_undisturbed_one(
    film_run: Run, tmp_path: Path, capsys: Capture
) -> None:
    def batch(out: str) -> list[str]:
        options = ["--users", "all", "-k", "20", "--partition-size", "3", "-o", str(tmp_path / out)]
        return ["recommend", str(film_run.folder), *options]

    command = [sys.executable, "-m", "crosstower", *batch("killed"), "--processes", "2"]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + SECONDS
    while not list((tmp_path / "killed").glob("part-*")) and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(SECONDS)
    assert list((tmp_path / "killed").glob("part-*"))
    assert run(capsys, *batch("killed"))[0] == 0
    assert run(capsys, *batch("whole"))[0] == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert len(contents(tmp_path / "whole")) == 40


def contents(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {path.name: pl.read_parquet(path).to_dicts() for path in folder.glob("part-*")}


def test_the_summary_names_what_is_kept_and_what_to_know(capsys: Capture) -> None:
    counts = {"unknown users": 2, "short lists": 0}
    print_summary(
        JobSummary("lists", 3, 1, 90, 900, counts, 2.0, 30.0), "users", "rows", as_json=False
    )
    out = capsys.readouterr().out
    assert out == (
        "lists: 90 users, 900 rows, 3 parts (1 kept from an earlier call), 30 users/s\n"
        "unknown users: 2\n"
    )


def test_a_job_that_was_finished_before_has_no_rate(capsys: Capture) -> None:
    print_summary(JobSummary("out", 1, 1, 9, 9, {}, 0.1, 0.0), "users", "rows", as_json=False)
    out = capsys.readouterr().out
    assert out == "out: 9 users, 9 rows, 1 part (1 kept from an earlier call)\n"


def test_help_has_examples(capsys: Capture) -> None:
    code, out, _ = run(capsys, "recommend", "--help")
    assert (code, "--users all -k 50 -o lists" in " ".join(out.split())) == (0, True)
