from pathlib import Path

import pytest

from .command_line import Capture, run


@pytest.mark.slow
def test_rows_are_prepared_once_and_trained_on(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "prepare", "small.yaml", "--out", "rows.prepared")
    assert (code, out.splitlines()[1]) == (
        0,
        "train with: crosstower fit small.yaml --prepared rows.prepared",
    )
    assert out.startswith("rows.prepared: train ")
    for rate in ("0.01", "0.02"):
        options = ("--prepared", "rows.prepared", "-o", f"training.learning_rate={rate}")
        code, out, _ = run(capsys, "fit", "small.yaml", *options, "--out", f"run-{rate}")
        assert (code, f"report: run-{rate}/report.html" in out) == (0, True)
    code, _, error = run(capsys, "fit", "small.yaml", "--prepared", "elsewhere")
    assert code == 5
    assert "elsewhere: no prepared rows (prepared.json is missing); write them with" in error
