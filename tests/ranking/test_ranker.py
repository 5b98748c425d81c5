import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.data.sources import source as sources
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.ranking.ranker import Ranker
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    return fit(recipe, out=tmp_path / "run", quiet=True, seeds=2)


def score(run: Run, frame: pl.DataFrame, **options: object) -> pl.DataFrame:
    chosen = {k: options.pop(k) for k in ("model", "seed") if k in options}
    ranker = Ranker.open(run, **chosen)  # type: ignore[arg-type]
    return pl.concat(list(ranker.score(open_source(frame), **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["wide_deep", "logistic_regression"])
@pytest.mark.parametrize("seed", [0, 1])
def test_raw_rows_score_as_they_did_in_training(
    run: Run, frame: pl.DataFrame, model: str, seed: int
) -> None:
    opened = Run.open(run.folder)
    stored = pl.read_parquet(run.model_folder(model, seed) / "test.parquet")
    scored = score(opened, frame, columns=frame.columns, model=model, seed=seed)
    scored = scored.with_columns(pl.col("click", "watch_time").cast(pl.Float64))
    keys = ["user_id", "genre", "click", "watch_time"]
    both = stored.join(scored, on=keys, suffix="_raw", how="inner")
    assert stored.height > 50
    for task in ("click", "watch_time"):
        # Several rows may share the keys: each stored score must be among theirs.
        near = (both[f"{task}__prediction"] - both[f"{task}__prediction_raw"]).abs() < 1e-5 * (
            1 + both[f"{task}__prediction"].abs()
        )
        found = both.filter(near).unique([*keys, "click__prediction"])
        assert found.height == stored.unique([*keys, "click__prediction"]).height


def test_scores_need_no_labels_and_do_not_depend_on_the_company(
    run: Run, frame: pl.DataFrame
) -> None:
    bare = frame.drop("click", "watch_time")
    together = score(run, bare)
    alone = pl.concat([score(run, bare[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone.to_numpy(), together[:5].to_numpy(), rtol=1e-5)
    assert together.columns == ["click__prediction", "watch_time__prediction"]
    assert together["click__prediction"].is_between(0, 1).all()


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_frame_and_a_file_are_predicted_like_scored_rows(
    run: Run, frame: pl.DataFrame, folder: Path
) -> None:
    expected = score(run, frame, columns=["user_id"])
    assert run.predict(frame, columns=["user_id"]).equals(expected)
    assert run.predict(frame.to_pandas(), columns=["user_id"]).equals(expected)
    assert run.predict(folder / "rows.parquet", columns=["user_id"]).equals(expected)


def test_unseen_and_missing_values_are_scored(run: Run, frame: pl.DataFrame) -> None:
    strange = frame.head(3).with_columns(
        user_id=pl.Series([999, None, 1]), age=pl.lit(None, pl.Float64), genre=pl.lit("opera")
    )
    assert score(run, strange)["click__prediction"].is_finite().all()


def test_a_missing_column_is_named(run: Run, frame: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="no column 'genre'"):
        score(run, frame.drop("genre"))


def test_a_precision_that_there_is_not_is_refused(run: Run, frame: pl.DataFrame) -> None:
    with pytest.raises(RunError, match="precision: expected one of float32, bfloat16, got 'fp8'"):
        run.predict(frame, precision="fp8")  # type: ignore[arg-type]


def test_chunks_left_unread_stop_the_thread_that_reads(
    run: Run, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "CHUNK_ROWS", 10)
    before = set(threading.enumerate())
    scores = Ranker.open(run).score(open_source(frame))
    assert next(scores).height == 10
    reading = set(threading.enumerate()) - before
    assert reading
    scores.close()  # type: ignore[attr-defined]
    assert not any(thread.is_alive() for thread in reading)


def test_a_ranker_is_one_line(run: Run) -> None:
    shown = f"Ranker('{run.folder}': logistic_regression, seed 1; click, watch_time)"
    assert repr(Ranker.open(run, model="logistic_regression", seed=1)) == shown
