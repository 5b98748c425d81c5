"""`crosstower features`: rows of a ranker with columns of retrieval."""

import json
from pathlib import Path

import polars as pl
import pytest

from ..fixtures.retrieved_films import RetrievedFilms
from .command_line import run


def test_rows_after_the_training_are_written(
    retrieved_films: RetrievedFilms, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = retrieved_films.retrieval.folder
    rows, out = folder.parent / "rows.parquet", tmp_path / "features.parquet"
    code, text, _ = run(capsys, "features", folder, rows, "-o", out)
    assert code == 0
    assert pl.read_parquet(out).equals(retrieved_films.rows)
    written = retrieved_films.rows.height
    assert f"{written:,} rows; left out: {900 - written:,} rows not later than" in text
    code, _, error = run(capsys, "features", folder, rows, "-o", out)
    assert (code, "already exists" in error) == (3, True)
    code, _, error = run(capsys, "features", folder, rows, "-o", tmp_path / "features.csv")
    assert (code, "such as features.parquet" in error) == (3, True)
    code, text, _ = run(capsys, "features", folder, rows, "-o", out, "--force", "--json")
    assert json.loads(text)["trained"] == 900 - written
