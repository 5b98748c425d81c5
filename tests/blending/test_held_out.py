"""Stored predictions with the columns that a blend needs."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from crosstower.blending.blend_run import blend_run
from crosstower.data.datasets import worlds
from crosstower.errors import RecipeError, RunError
from crosstower.recipe.blend import Blend, Diversity
from crosstower.training.run import Run

from ..fixtures.feed import ROWS
from .test_blend_run import PROBIT


@pytest.fixture
def run(feed_run: Run, tmp_path: Path) -> Run:
    """A copy that a test may write into."""
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    return Run.open(tmp_path / "feed")


def test_columns_that_were_not_stored_are_read_again(run: Run) -> None:
    stored = pl.read_parquet(run.model_folder("shared_bottom", 0) / "test.parquet")
    assert not {"item_id", "content_type"} & set(stored.columns)
    spec = Blend(weights={"like": 1}, diversity=Diversity(mmr=0.5, similar_by=("item_id",)))
    blend_run(run, spec)
    rows = pl.read_parquet(run.folder / "blended.parquet")
    keys = ["user_id", "item_id", "like", "comment"]
    frame = worlds.make("feed_engagement", rows=ROWS).frame
    frame = frame.with_columns(pl.col("like", "comment").cast(pl.Float64))
    assert rows.join(frame, on=keys, how="anti").height == 0  # each item has its own labels


def test_lists_need_a_column(run: Run) -> None:
    evaluation = run.recipe.evaluation.model_copy(update={"group": None})
    loose = Run(run.folder, run.recipe.model_copy(update={"evaluation": evaluation}), run.info)
    with pytest.raises(RecipeError, match="no column groups the rows into lists"):
        blend_run(loose, PROBIT)


def test_rows_in_another_order_are_noticed(run: Run) -> None:
    frame = worlds.make("feed_engagement", rows=ROWS).frame.sample(fraction=1, shuffle=True, seed=1)
    with pytest.raises(RunError, match="rows or their order have changed"):
        blend_run(run, PROBIT, data=frame)


def test_a_run_of_a_data_frame_asks_for_it_again(run: Run) -> None:
    data = run.recipe.data.model_copy(update={"path": None})
    framed = Run(run.folder, run.recipe.model_copy(update={"data": data}), run.info)
    with pytest.raises(RunError, match="give the same rows with --data"):
        blend_run(framed, PROBIT)
    frame = worlds.make("feed_engagement", rows=ROWS).frame
    assert blend_run(framed, PROBIT, data=frame).page.is_file()


def test_rows_that_have_changed_are_noticed(run: Run) -> None:
    frame = worlds.make("feed_engagement", rows=ROWS - 5_000).frame
    with pytest.raises(RunError, match="it has changed since"):
        blend_run(run, PROBIT, data=frame)


def test_predictions_of_an_unfinished_run_are_missed(run: Run) -> None:
    (run.model_folder("shared_bottom", 1) / "valid.parquet").unlink()
    with pytest.raises(RunError, match="the training has not finished"):
        blend_run(run, Blend(weights={"like": 1}))
