from pathlib import Path

import polars as pl
import pytest

from crosstower.blending.blender import load_blend
from crosstower.blending.columns import named_types
from crosstower.data.sources import source as sources
from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.predict import predict_file
from crosstower.recipe.blend import Blend
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run


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


def test_an_output_has_no_suffix_of_another_format(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"such as scores\.parquet"):
        predict_file(run, tmp_path / "rows.parquet", tmp_path / "scores.csv")


def test_an_output_that_is_there_is_kept(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    out.write_text("mine")
    with pytest.raises(RunError, match=r"already exists.*--force"):
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
    with pytest.raises(RunError, match=r"cannot be written: no folder .*none; create it"):
        predict_file(run, tmp_path / "rows.parquet", tmp_path / "none" / "scores.parquet")


def test_an_unknown_column_to_keep_is_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'user'; did you mean 'user_id'"):
        predict_file(run, tmp_path / "rows.parquet", tmp_path / "s.parquet", columns=["user"])


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stderr, without those that show how far the scoring is."""
    return [line for line in capsys.readouterr().err.splitlines() if " in fitting: " in line]


def test_types_unknown_to_calibration_and_blend_are_counted_once_at_the_end(
    recipe: Recipe,
    frame: pl.DataFrame,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calibration = Calibration(method="platt", by="genre")
    blend = Blend(weights={"click": 1}, transform="percentile", by="user_id")
    training = recipe.training.model_copy(update={"epochs": 1})
    changes = {"calibration": calibration, "blend": blend, "training": training}
    run = fit(recipe.model_copy(update=changes), out=tmp_path / "run", quiet=True)
    genre = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("[opera]")).otherwise("genre")
    genre = pl.when(pl.int_range(pl.len()) < 90).then(None).otherwise(genre).alias("genre")
    new = frame.with_columns(genre)
    new.write_parquet(tmp_path / "new.parquet")
    fitted = load_blend(run.model_folder("wide_deep", 0) / "blend.json")
    rare = fitted.unseen(new)
    monkeypatch.setattr(sources, "CHUNK_ROWS", 100)
    capsys.readouterr()
    # The columns need not be among those that are kept.
    predict_file(run, tmp_path / "new.parquet", tmp_path / "s.parquet", columns=["age"])
    (line,) = told(capsys)
    calibrated, blended = line.split("; ")
    assert calibrated == (
        "460 of 1,200 rows take the calibration of all types, as their genre was missing or unseen"
        " in fitting: '[opera]' (370), missing (90)"
    )
    assert rare.total() > 0
    assert blended == (
        f"{rare.total():,} of 1,200 rows take the blend of all types, as their user_id was missing,"
        f" unseen or rare in fitting: {named_types(rare)}."
    )
    columns = ["age", "click__prediction", "watch_time__prediction", "blend__score"]
    assert pl.read_parquet(tmp_path / "s.parquet").columns == columns


def test_nothing_is_said_where_all_types_are_known(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calibration = Calibration(method="platt", by="genre")
    training = recipe.training.model_copy(update={"epochs": 1})
    changes = {"calibration": calibration, "training": training}
    run = fit(recipe.model_copy(update=changes), out=tmp_path / "run", quiet=True)
    capsys.readouterr()
    out = tmp_path / "s.parquet"
    predict_file(run, tmp_path / "rows.parquet", out)
    assert told(capsys) == []
    assert pl.read_parquet(out).select(frame.columns).equals(frame)
    with pytest.raises(RunError, match="no model 'wide'; did you mean 'wide_deep'"):
        predict_file(run, tmp_path / "rows.parquet", out, model="wide", force=True)


def test_bfloat16_moves_scores_a_little(run: Run, tmp_path: Path) -> None:
    scores: dict[str, pl.Series] = {}
    for precision in ("float32", "bfloat16"):
        out = tmp_path / f"{precision}.parquet"
        predict_file(run, tmp_path / "rows.parquet", out, columns=[], precision=precision)
        scores[precision] = pl.read_parquet(out)["click__prediction"]
    gap = (scores["float32"] - scores["bfloat16"]).abs()
    assert 0 < gap.max() < 0.02  # type: ignore[operator]
    assert (gap > 0).mean() > 0.5  # type: ignore[operator]
