"""The gate on real bundles: the same one passes, a weak one is refused in words."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import BundleError
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.event_logs import with_counts
from crosstower.serving.retraining.gate import judge
from crosstower.serving.retraining.limits import GateLimits

from ...fixtures.counted_films import CountedFilms

QUICK = GateLimits(samples=200)


def test_the_live_bundle_itself_passes(bundle: Bundle, newest: pl.DataFrame) -> None:
    found = judge(bundle.folder, bundle.folder, newest, limits=QUICK)
    assert found.passed
    assert found.notes == ()
    names = {(c.name, c.metric) for c in found.figures.comparisons}
    assert names == {
        ("click", "auc"), ("click", "log_loss"), ("booking", "auc"), ("booking", "log_loss"),
        ("lists", "ndcg@10"), ("retrieval", "recall@10"),
    }  # fmt: skip
    assert all(c.gain == 0.0 for c in found.figures.comparisons)
    assert found.figures.rows == 2_000
    assert found.figures.users == newest["user_id"].n_unique()


def test_a_weak_bundle_is_refused_and_may_be_replaced(
    bundle: Bundle, weak: Bundle, newest: pl.DataFrame
) -> None:
    found = judge(bundle.folder, weak.folder, newest, limits=QUICK)
    assert not found.passed
    assert any(reason.startswith("click: AUC is 0.") for reason in found.reasons), found.reasons
    assert all(c.gain < 0.0 for c in found.figures.comparisons)
    better = judge(weak.folder, bundle.folder, newest, limits=QUICK)
    assert better.passed
    assert {c.name for c in better.figures.comparisons if c.low > 0} == {"click", "booking"}
    there, back = (v.figures.comparisons for v in (found, better))
    assert [(c.live, c.candidate) for c in there] == [(c.candidate, c.live) for c in back]


def test_too_few_rows_or_users_are_refused(bundle: Bundle, newest: pl.DataFrame) -> None:
    few = judge(bundle.folder, bundle.folder, newest.head(499), limits=QUICK)
    assert few.reasons[0].startswith("499 new rows are too few to compare on; gate.min_rows is 500")
    one = newest.with_columns(user_id=pl.lit(7))
    alone = judge(bundle.folder, bundle.folder, one, limits=QUICK)
    assert alone.reasons[0].startswith("the new rows have 1 users, too few to compare on")


def test_a_damaged_new_bundle_is_refused(
    bundle: Bundle, newest: pl.DataFrame, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle.folder, tmp_path / "copy"))
    weights = next(copy.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    found = judge(bundle.folder, copy, newest, limits=QUICK)
    assert found.reasons[0].startswith("the new bundle cannot be used: ")
    with pytest.raises(BundleError, match="cut short"):
        judge(copy, bundle.folder, newest, limits=QUICK)


def test_rows_that_the_new_bundle_cannot_read_are_a_reason(
    bundle: Bundle, newest: pl.DataFrame
) -> None:
    found = judge(bundle.folder, bundle.folder, newest.drop("city"), limits=QUICK)
    assert "no column 'city'" in found.reasons[0]


def test_rows_with_counts_of_events_are_judged(counted_films: CountedFilms) -> None:
    """A bundle has no log of events, so the rows bring their counts."""
    recipe = counted_films.ranking.recipe
    rows = pl.read_parquet(str(recipe.data.path)).tail(600)
    limits = QUICK.model_copy(update={"drift": None})
    bundle = counted_films.bundle.folder
    found = judge(bundle, bundle, with_counts(rows, recipe), limits=limits)
    assert found.passed
    assert ("liked", "auc", 0.0) in [(c.name, c.metric, c.gain) for c in found.figures.comparisons]
    assert "no column" in judge(bundle, bundle, rows, limits=limits).reasons[0]
