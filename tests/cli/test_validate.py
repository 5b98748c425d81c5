import json
from pathlib import Path

import polars as pl

from crosstower.training.run import Run

from .command_line import Capture, run


def test_rows_are_checked_with_exit_codes_for_a_pipeline(
    here: Path, frame: pl.DataFrame, capsys: Capture
) -> None:
    code, out, _ = run(capsys, "validate", "small.yaml")
    assert (code, out.splitlines()[-1]) == (0, "no problems")
    assert "train 9" in out.splitlines()[0]
    pl.concat([frame, frame[:600]]).write_parquet("copies.parquet")
    code, out, _ = run(capsys, "validate", "small.yaml", "copies.parquet")
    assert (code, "warning: " in out, out.splitlines()[-1]) == (0, True, "1 warning")
    code, _, err = run(capsys, "validate", "small.yaml", "copies.parquet", "--strict")
    assert (code, err) == (3, f"crosstower: {here}/copies.parquet: 1 warning\n")


def test_bad_cells_are_listed_and_written_to_a_page(
    here: Path, frame: pl.DataFrame, capsys: Capture
) -> None:
    ages = frame["age"].cast(pl.String)
    ages[7] = "old"
    frame.with_columns(ages).write_parquet("wrong.parquet")
    code, out, err = run(capsys, "validate", "small.yaml", "wrong.parquet", "--page", "page.html")
    assert (code, err) == (3, f"crosstower: {here}/wrong.parquet: 1 problem\n")
    assert "problem: 1 bad cells in 'age': expected a finite number" in out
    assert "row 7 of " in out
    assert max(map(len, out.splitlines()[1:])) <= 100
    assert "bad cells" in Path("page.html").read_text()
    code, out, _ = run(capsys, "validate", "small.yaml", "wrong.parquet", "--json")
    assert (code, json.loads(out)["findings"][0]["check"]) == (3, "cells")


def test_rows_are_compared_with_a_run(feed_run: Run, tmp_path: Path, capsys: Capture) -> None:
    world = tmp_path / "new"
    run(capsys, "data", "get", "world:feed_engagement", "--rows", "2000", "--out", world)
    file = world / "feed_engagement.parquet"
    code, out, _ = run(capsys, "validate", feed_run.folder, file)
    assert code == 0
    assert out.splitlines()[0].startswith(f"{file}: new 2,000 rows, compared with ")
    code, _, err = run(capsys, "validate", feed_run.folder)
    assert (code, "DATA: missing" in err) == (2, True)
    code, _, err = run(capsys, "validate", feed_run.folder, file, "-o", "data.rows=3")
    assert (code, "-o: only with a recipe" in err) == (2, True)
