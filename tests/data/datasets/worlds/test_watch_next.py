"""Watch next: a match decides, or nothing does."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from crosstower.data.datasets.worlds import make
from crosstower.data.datasets.worlds.watch_next import watch_next

ROWS = 100_000


def test_watch_next_is_decided_by_the_match() -> None:
    frame = make("watch_next", rows=10_001).frame
    aligned = frame["user_id"] % 5 == frame["item_id"] % 5
    assert (aligned.cast(pl.Int8) == frame["did_watch"]).all()
    assert frame["did_watch"].sum() == 5_000
    watched = frame.filter(pl.col("did_watch") == 1)["watch_time"]
    other = frame.filter(pl.col("did_watch") == 0)["watch_time"]
    assert (watched.min(), watched.max()) == (1, 599)
    shares = other.value_counts(normalize=True).sort("watch_time")
    assert shares["watch_time"].to_list() == [0, 5, 10, 20]
    np.testing.assert_allclose(shares["proportion"], [0.7, 0.1, 0.1, 0.1], atol=0.02)


@pytest.mark.parametrize("items", [200, 300])
def test_watch_next_uses_the_whole_catalogue(items: int) -> None:
    frame = watch_next(20_000, np.random.default_rng(0), items=items)
    assert frame["item_id"].n_unique() == items
    assert frame["item_id"].max() == items - 1


def test_independent_labels_know_nothing_of_the_features() -> None:
    frame = make("watch_next_independent", rows=ROWS).frame
    aligned = (frame["user_id"] % 5 == frame["item_id"] % 5).cast(pl.Int8)
    assert roc_auc_score(frame["did_watch"], aligned) == pytest.approx(0.5, abs=0.01)
    assert frame["did_watch_probability"].unique().to_list() == [0.5]
