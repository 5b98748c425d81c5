from pathlib import Path

import pytest

from .command_line import Capture, run


@pytest.mark.slow
def test_evaluating_other_rows_and_writing_elsewhere(here: Path, capsys: Capture) -> None:
    run(capsys, "fit", "small.yaml", "--out", "a")
    code, out, _ = run(capsys, "evaluate", "a", "--data", "rows.parquet", "--out", "b.html")
    assert (code, "report: b.html" in out, "1,200 test rows" in out) == (0, True, True)
    code, out, _ = run(capsys, "evaluate", "a", "--out", "c.html")
    assert (code, Path("c.html").is_file(), "report: c.html" in out) == (0, True, True)
    code, _, error = run(capsys, "evaluate", "a", "--events", "log.parquet")
    assert (code, "--events log.parquet: needs --data" in error) == (2, True)
