"""`crosstower explain`: rows of a file and rows as JSON."""

import json
from pathlib import Path

import polars as pl
import pytest

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
        ("rows.parquet", "--row", "5000"): "no row 5000; rows are numbered from 0 on",
    }
    for options, words in wrong.items():
        code, _, err = run(capsys, "explain", "run", *options)
        assert code in (2, 3), err
        assert words in err
