"""Predictions by partitions against those of one file."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.predict import predict_file
from crosstower.recipe.blend import Blend
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.data import Join
from crosstower.recipe.recipe import Recipe
from crosstower.serving.batch_jobs.predict import predict_partitions
from crosstower.training.run import Run


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    """A ranker with calibration and blend by type."""
    calibration = Calibration(method="platt", by="genre")
    blend = Blend(weights={"click": 1}, transform="percentile", by="user_id")
    training = recipe.training.model_copy(update={"epochs": 1})
    changes = {"calibration": calibration, "blend": blend, "training": training}
    return fit(recipe.model_copy(update=changes), out=tmp_path / "run", quiet=True)


@pytest.fixture
def rows(frame: pl.DataFrame, tmp_path: Path) -> Path:
    """New rows in two files, some of unknown types."""
    genre = pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("opera")).otherwise("genre")
    changed = frame.with_columns(genre=genre)
    folder = tmp_path / "new"
    folder.mkdir()
    changed[:700].write_parquet(folder / "a.parquet", row_group_size=150)
    changed[700:].write_parquet(folder / "b.parquet")
    return folder


def test_parts_hold_what_one_file_holds(
    run: Run, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_file(run, rows, tmp_path / "whole.parquet")
    told = capsys.readouterr().err
    out, folder = str(tmp_path / "parts"), str(run.folder)
    summary, sentences = predict_partitions(folder, str(rows), out, partition_size=200)
    assert (summary.partitions, summary.read, summary.written) == (7, 1200, 1200)
    whole = pl.read_parquet(tmp_path / "whole.parquet")
    parts = pl.read_parquet(tmp_path / "parts" / "*.parquet")
    assert parts.columns == whole.columns
    kept = [name for name in whole.columns if "__" not in name]
    assert parts.select(kept).equals(whole.select(kept))
    for name in ("click__prediction", "watch_time__prediction", "blend__score"):
        assert (parts[name] - whole[name]).abs().max() < 1e-4
    assert sentences == [line for line in told.splitlines() if line.endswith(".")]
    assert any("take the calibration of all types" in sentence for sentence in sentences)


def test_finished_parts_are_kept_and_another_run_is_refused(
    run: Run, rows: Path, tmp_path: Path
) -> None:
    out, folder = str(tmp_path / "parts"), str(run.folder)
    given = {"columns": ["age"], "partition_size": 500}
    first, told = predict_partitions(folder, str(rows), out, **given)  # type: ignore[arg-type]
    (tmp_path / "parts" / "part-00001.parquet").unlink()
    again, sentences = predict_partitions(folder, str(rows), out, **given)  # type: ignore[arg-type]
    assert (first.kept, again.kept, again.read) == (0, 2, 1200)
    assert sentences == told
    with pytest.raises(RunError, match="precision is 'bfloat16', the finished parts have"):
        predict_partitions(folder, str(rows), out, precision="bfloat16", **given)  # type: ignore[arg-type]
    (run.model_folder("wide_deep", 0) / "blend.json").unlink()
    with pytest.raises(RunError, match="the model differs"):
        predict_partitions(folder, str(rows), out, **given)  # type: ignore[arg-type]


def test_a_joined_table_that_changed_is_another_job(
    recipe: Recipe, frame: pl.DataFrame, tmp_path: Path
) -> None:
    rows, table = frame.drop("genre").with_row_index("key"), tmp_path / "genres.parquet"
    rows.write_parquet(tmp_path / "rows.parquet")
    genres = pl.DataFrame({"key": rows["key"], "genre": frame["genre"]})
    genres.write_parquet(table)
    data = recipe.data.model_copy(
        update={
            "path": str(tmp_path / "rows.parquet"),
            "joins": (Join(path=str(table), on="key"),),
        }
    )
    training = recipe.training.model_copy(update={"epochs": 1})
    changes = {"data": data, "training": training}
    run = fit(recipe.model_copy(update=changes), out=tmp_path / "run", quiet=True)
    given = (str(run.folder), str(tmp_path / "rows.parquet"), str(tmp_path / "parts"))
    assert predict_partitions(*given, partition_size=500)[0].kept == 0
    assert predict_partitions(*given, partition_size=500)[0].kept == 3
    genres[:-1].write_parquet(table)
    with pytest.raises(RunError, match=r"digest of .*genres\.parquet is '\w+', the finished parts"):
        predict_partitions(*given, partition_size=500)


def test_a_bad_row_names_its_partition_and_row(
    run: Run, rows: Path, frame: pl.DataFrame, tmp_path: Path
) -> None:
    bad = pl.when(pl.int_range(pl.len()) == 450).then(float("inf")).otherwise("age")
    frame.with_columns(age=bad).write_parquet(rows / "b.parquet")
    with pytest.raises(
        DataError, match=r"partition 6 \(.*b\.parquet, rows 400 to 599\): .*got inf in row 450"
    ):
        predict_partitions(str(run.folder), str(rows), str(tmp_path / "p"), partition_size=200)
    with pytest.raises(DataError, match="no column 'agee'; did you mean 'age'"):
        predict_partitions(str(run.folder), str(rows), str(tmp_path / "q"), columns=["agee"])
    assert not (tmp_path / "q").exists()


def test_joined_tables_and_counted_events(counted_run: Run, tmp_path: Path) -> None:
    data = counted_run.recipe.data.path
    assert data is not None
    predict_file(counted_run, data, tmp_path / "whole.parquet")
    out = str(tmp_path / "parts")
    predict_partitions(str(counted_run.folder), data, out, partition_size=700)
    whole = pl.read_parquet(tmp_path / "whole.parquet")
    parts = pl.read_parquet(tmp_path / "parts" / "*.parquet")
    scores = [name for name in whole.columns if name.endswith("__prediction")]
    assert (parts.select(scores) - whole.select(scores)).to_numpy().max() < 1e-4
    assert parts.drop(scores).equals(whole.drop(scores))
