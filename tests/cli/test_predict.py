"""`crosstower predict` by partitions."""

import json
from pathlib import Path

import polars as pl
import pytest

from .command_line import Capture, run


@pytest.mark.slow
def test_predictions_in_parts(here: Path, capsys: Capture) -> None:
    assert run(capsys, "fit", "small.yaml", "--out", "run", "-o", "training.epochs=1")[0] == 0
    parts = ("predict", "run", "rows.parquet", "-o", "scores", "--partition-size", "500")
    code, out, err = run(capsys, *parts)
    assert code == 0, err
    assert out.startswith("scores: 1,200 rows, 1,200 predictions, 3 parts, ")
    assert "of these rows trained the model" in err
    assert pl.read_parquet(here / "scores" / "*.parquet").height == 1_200
    code, out, _ = run(capsys, "predict", "run", "rows.parquet", "--partition-size", "2000")
    assert (code, out.startswith("predictions: 1,200 rows")) == (0, True)
    code, out, _ = run(capsys, *parts, "--json")
    assert (code, json.loads(out)["kept"]) == (0, 3)


def test_options_of_parts_need_a_partition_size(here: Path, capsys: Capture) -> None:
    for option in (["--processes", "2"], ["--json"]):
        code, _, err = run(capsys, "predict", "run", "rows.parquet", *option)
        assert (code, f"{option[0]}: needs --partition-size ROWS" in err) == (2, True)
