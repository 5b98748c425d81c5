import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.blend_run import BlendResult, blend_run
from crosstower.blending.measured_lists import lists_of
from crosstower.errors import DataError
from crosstower.recipe.blend import Blend, Diversity
from crosstower.training.run import Run

LIKE = Blend(weights={"like": 1})
BOTH = Blend(weights={"like": 1, "comment": 2})


@pytest.fixture
def changed(feed_run: Run, tmp_path: Path) -> Callable[[pl.Expr], Run]:
    """Make a copy of the run in which the test rows have another `user_id`."""

    def make(user: pl.Expr) -> Run:
        folder = tmp_path / "feed"
        shutil.copytree(feed_run.folder, folder)
        run = Run.open(folder)
        for seed in run.info.seeds:
            path = run.model_folder("shared_bottom", seed) / "test.parquet"
            pl.read_parquet(path).with_columns(user_id=user).write_parquet(path)
        return run

    return make


def words(result: BlendResult) -> str:
    return " ".join([*result.sentences, *result.notes])


@pytest.mark.parametrize("none", [None, float("nan")])
def test_rows_without_a_user_are_counted(
    changed: Callable[[pl.Expr], Run], none: float | None
) -> None:
    row, users = pl.int_range(pl.len()), pl.col("user_id").cast(pl.Float64)
    result = blend_run(changed(pl.when(row >= 100).then(users).otherwise(none)), BOTH)
    stored = pl.read_parquet(result.page.parent / "blended.parquet")
    height = stored.height + 100
    assert f"100 of {height:,} test rows have no user_id and are in no list." in words(result)
    assert f" {stored['user_id'].n_unique():,} lists by user_id" in result.sentences[0]


def test_no_user_at_all_is_refused(changed: Callable[[pl.Expr], Run]) -> None:
    run = changed(pl.lit(None, pl.Int64))
    with pytest.raises(DataError, match=r"'user_id': none of the [\d,]+ test rows has a value"):
        blend_run(run, BOTH)


def test_lists_of_one_row_tell_nothing(changed: Callable[[pl.Expr], Run]) -> None:
    result = blend_run(changed(pl.int_range(pl.len())), BOTH)
    assert "lists by user_id has one row: any order of them is the same" in words(result)
    assert "against" not in words(result)


def test_one_list_has_no_noise(changed: Callable[[pl.Expr], Run]) -> None:
    result = blend_run(changed(pl.lit(1, pl.Int64)), BOTH)
    assert "has more than one row: its metrics have no measure of noise" in words(result)
    assert "against" not in words(result)
    assert "95 %" not in result.sentences[0]


def test_totals_that_are_equal_by_construction_are_said_to_be(
    changed: Callable[[pl.Expr], Run],
) -> None:
    run = changed(pl.int_range(pl.len()) // 10)
    result = blend_run(run, BOTH)
    totals = [order.metrics["total.like"].mean for order in result.orders]
    assert np.ptp(totals) < 1e-9
    assert "No list has more than 10 rows" in words(result)
    assert "equal by construction" in words(result)
    fewer = blend_run(run, BOTH, k=3)
    assert "equal by construction" not in words(fewer)
    assert np.ptp([order.metrics["total.like"].mean for order in fewer.orders]) > 1e-3


def test_the_blend_is_compared_with_a_shuffled_order(feed_run: Run, tmp_path: Path) -> None:
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    for weight, side in ((1.0, "better"), (-1.0, "worse")):
        result = blend_run(tmp_path / "feed", Blend(weights={"comment": weight}))
        compared = [s for s in result.sentences if "of a shuffled order" in s]
        assert [s.split()[2] for s in compared] == ["like", "comment"]
        assert f"of a shuffled order: {side} (" in compared[1]
        assert ("The weight of comment is negative (-1)" in words(result)) == (weight < 0)


def test_a_single_task_is_shown_alone(feed_run: Run, tmp_path: Path) -> None:
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    plain = blend_run(tmp_path / "feed", LIKE)
    assert "like alone" in [order.name for order in plain.orders]
    typed = Blend(weights={"like": 1}, transform="percentile", by="content_type")
    result = blend_run(tmp_path / "feed", typed)
    assert [o.name for o in result.orders][:3] == ["blend", "plain sum", "like alone"]


def test_types_that_no_row_has_are_remarked(feed_run: Run, tmp_path: Path) -> None:
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    caps = Diversity(by="content_type", caps={"vidoe": 1, "photo": 3, "*": 9})
    result = blend_run(tmp_path / "feed", BOTH, diversity=caps)
    assert (
        "The cap of content_type 'vidoe' has no effect here: no validation or test row has that"
        " value; did you mean 'video'?"
    ) in result.notes
    assert "of content_type 'photo' has no effect" not in words(result)


@given(st.lists(st.none() | st.integers(0, 5), min_size=1), st.integers(1, 4))
def test_lists_are_counted_as_a_loop_would(users: list[int | None], k: int) -> None:
    sizes = {u: users.count(u) for u in users if u is not None}
    series = pl.Series("u", users, pl.Int64)
    if not sizes:
        with pytest.raises(DataError, match="no list to order"):
            lists_of(series, k)
        return
    found = lists_of(series, k)
    assert (found.rows, found.without, found.count) == (len(users), users.count(None), len(sizes))
    assert found.ordered == sum(size > 1 for size in sizes.values())
    assert found.short == sum(size <= k for size in sizes.values())
    assert ("equal by construction" in " ".join(found.words())) == (
        found.ordered > 0 and max(sizes.values()) <= k
    )
