"""`crosstower explain`: rows of a file and rows as JSON."""

import json
from pathlib import Path

import polars as pl
import pytest

from crosstower.cli import explain
from crosstower.ranking.explain import Explanation, TaskExplanation

from .command_line import Capture, run


def test_rows_of_a_file_and_of_json_are_explained(here: Path, capsys: Capture) -> None:
    assert run(capsys, "fit", "small.yaml", "--out", "run", "-o", "training.epochs=1")[0] == 0
    few = ("--background", "4")
    file = ("explain", "run", "rows.parquet", *few, "--row", "7")
    code, out, err = run(capsys, *file, "--task", "click", "--top", "2")
    assert code == 0, err
    assert "row 7, click: 0." in out
    assert "watch_time" not in out
    assert "2 more columns contribute" in out
    frame = pl.read_parquet("rows.parquet")
    rows = json.dumps([frame.row(place, named=True) for place in (7, 8)], default=str)
    (seventh, eighth) = json.loads(run(capsys, "explain", "run", rows, "--json", *few)[1])
    (same,) = json.loads(run(capsys, *file, "--json")[1])
    assert seventh["tasks"] == same["tasks"]
    assert [one["row"] for one in (seventh, eighth, same)] == [0, 1, 7]
    click = seventh["tasks"]["click"]
    total = sum(click["contributions"].values())
    assert total == pytest.approx(click["prediction"] - click["base"], abs=1e-9)
    wrong = {
        ("{user_id: 3}",): "ROWS: not valid JSON",
        ("[]",): "ROWS: the JSON holds no row",
        (
            "rows.parquet",
            "--task",
            "clik",
        ): "--task: no task 'clik'; the run has: click, w",
        ("rows.parquet", "--row", "5000"): "no row 5000; it has 1,200 rows, numbered from 0",
    }
    for options, words in wrong.items():
        code, _, err = run(capsys, "explain", "run", *options)
        assert code in (2, 3), err
        assert words in err


def test_long_lists_are_cut_and_missing_values_are_dashes(capsys: Capture) -> None:
    moved = {"history": 0.25, "price": -0.05, "city": 0.0}
    task = TaskExplanation(0.7, 0.5, moved, dict.fromkeys(moved, 0.01))
    values = {"history": [str(n) for n in range(100, 150)], "price": 1e-05, "city": None}
    explain._print(Explanation(3, values, {"click": task}), "click", 20)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "row 3, click: 0.5000 (base) to 0.7000" in lines
    assert "history 100, 101, 102, 103, 104, 105, 106, 107,… +0.2500 0.0100" in lines
    assert "price 1e-05 -0.0500 0.0100" in lines
    assert "city – +0.0000 0.0100" in lines
