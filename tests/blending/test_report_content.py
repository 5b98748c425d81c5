"""What a blend leaves in its run folder: page, rows in order, figures."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.blending.blend_run import blend_run
from crosstower.training.run import Run

from .test_blend_run import PROBIT


@pytest.fixture
def run(feed_run: Run, tmp_path: Path) -> Run:
    """A copy that a test may write into."""
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    return Run.open(tmp_path / "feed")


def test_lists_are_in_order_and_say_what_each_task_adds(run: Run) -> None:
    blend_run(run, PROBIT)
    rows = pl.read_parquet(run.folder / "blended.parquet")
    assert rows.columns[:5] == ["user_id", "rank", "blend__score", "like__part", "comment__part"]
    total = rows["like__part"] + rows["comment__part"]
    np.testing.assert_allclose(rows["blend__score"], total)
    for _, one in rows.group_by("user_id"):
        assert one["rank"].to_list() == list(range(1, one.height + 1))
        assert one["blend__score"].is_sorted(descending=True)


@pytest.mark.slow
def test_the_page_and_the_figures_are_written(run: Run) -> None:
    result = blend_run(run, PROBIT)
    assert result.page.read_text().startswith("<!doctype html>")
    plain = json.loads((run.folder / "blended.json").read_text())
    assert plain["blend"] == PROBIT.model_dump(mode="json", exclude_defaults=True)
    assert plain["orders"]["blend"]["ndcg.like"]["mean"] > 0
    names = ["blend", "plain sum", "like alone", "comment alone", "shuffled", "true weighted sum"]
    assert list(plain["orders"]) == names
    shuffled = plain["orders"]["shuffled"]
    assert shuffled["gauc.like"]["mean"] == pytest.approx(0.5)
    lists = pl.read_parquet(run.folder / "blended.parquet")["user_id"].n_unique()
    words = f"The first 10 rows of {lists:,} lists by user_id hold on average "
    assert plain["sentences"][0].startswith(words)
