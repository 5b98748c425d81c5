from pathlib import Path

import polars as pl
import pytest

from crosstower.data import sources
from crosstower.errors import DataError, RunError
from crosstower.fitting import fit
from crosstower.predict import predict_file
from crosstower.recipe import Recipe
from crosstower.run import Run


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    return fit(recipe, out=tmp_path / "run", quiet=True)


def test_every_row_is_scored_in_order_with_its_columns(
    run: Run, frame: pl.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "scores.parquet"
    assert predict_file(run, tmp_path / "rows.parquet", out) == 1200
    scores = pl.read_parquet(out)
    assert scores.select(frame.columns).equals(frame)
    assert scores.columns[-2:] == ["click__prediction", "watch_time__prediction"]


def test_chunks_do_not_matter(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict_file(run, tmp_path / "rows.parquet", tmp_path / "whole.parquet", columns=["user_id"])
    monkeypatch.setattr(sources, "CHUNK_ROWS", 7)
    predict_file(run, tmp_path / "rows.parquet", tmp_path / "parts.parquet", columns=["user_id"])
    whole, parts = (pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("whole", "parts"))
    assert whole.columns == ["user_id", "click__prediction", "watch_time__prediction"]
    assert (whole["click__prediction"] - parts["click__prediction"]).abs().max() < 1e-6


def test_csv_rows_score_like_parquet_rows(
    run: Run, recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    frame.drop("tags").write_csv(path)
    with pytest.raises(DataError, match="no column 'tags'"):
        predict_file(run, path, tmp_path / "scores.parquet")
    assert not (tmp_path / "scores.parquet").exists()


def test_an_output_that_is_there_is_kept(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    out.write_text("mine")
    with pytest.raises(RunError, match=r"is there already.*--force"):
        predict_file(run, tmp_path / "rows.parquet", out)
    assert out.read_text() == "mine"
    assert predict_file(run, tmp_path / "rows.parquet", out, force=True) == 1200


def test_a_bad_row_in_the_middle_leaves_no_output(
    run: Run, frame: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CHUNK_ROWS", 100)
    bad = pl.when(pl.int_range(pl.len()) == 700).then(float("inf")).otherwise("age")
    frame.with_columns(age=bad).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(
        DataError, match="column 'age': expected a finite number, got inf in row 700"
    ):
        predict_file(run, tmp_path / "bad.parquet", tmp_path / "scores.parquet")
    assert [p.name for p in tmp_path.iterdir() if "scores" in p.name] == []


def test_a_folder_that_is_not_there_is_an_error(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        predict_file(run, tmp_path / "rows.parquet", tmp_path / "none" / "scores.parquet")


def test_an_unknown_column_to_keep_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'user'; did you mean 'user_id'"):
        predict_file(run, tmp_path / "rows.parquet", tmp_path / "s.parquet", columns=["user"])
