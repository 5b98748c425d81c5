"""App installs: one match and one threshold decide."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from crosstower.data.datasets.worlds import make

ROWS = 100_000


def test_app_installs_follow_the_formula() -> None:
    frame = make("app_installs", rows=ROWS).frame
    match = pl.col("user_id") % 10 == pl.col("app_id") % 10
    expected = 0.1 + 0.3 * match.cast(pl.Float64) - 0.05 * (pl.col("age") > 50).cast(pl.Float64)
    assert frame.select((expected - pl.col("installed_probability")).abs().max()).item() < 1e-12
    assert frame["user_id"].max() == 999
    assert frame["app_id"].max() == 49
    assert frame["location"].n_unique() == 10
    assert (frame["age"].min(), frame["age"].max()) == (10, 69)


def test_the_best_auc_of_app_installs_is_the_closed_form() -> None:
    young, match = 41 / 60, 0.1
    p = np.array([0.05, 0.1, 0.35, 0.4])
    share = np.array(
        [(1 - match) * (1 - young), (1 - match) * young, match * (1 - young), match * young]
    )
    positive, negative = share * p / (share * p).sum(), share * (1 - p) / (share * (1 - p)).sum()
    best = float((positive * (np.cumsum(negative) - negative / 2)).sum())
    frame = make("app_installs", rows=1_000_000).frame
    assert best == pytest.approx(0.6774, abs=5e-5)
    assert roc_auc_score(frame["installed"], frame["installed_probability"]) == pytest.approx(
        best, abs=0.003
    )
