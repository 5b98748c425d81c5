"""Feed engagement: likes and comments by content type."""

import numpy as np
import polars as pl

from crosstower.data.datasets.worlds import make

ROWS = 100_000


def test_feed_engagement_follows_the_formula() -> None:
    frame = make("feed_engagement", rows=ROWS).frame
    photo = frame["content_type"] == "photo"
    keen, context = frame["user_id"] % 10 == 0, frame["context"]
    like = (
        0.3 + np.where(photo, 0.2, 0.1) + 0.05 * keen.to_numpy() + 0.03 * (context == 1).to_numpy()
    )
    comment = (
        0.1
        + np.where(photo, 0.05, 0.15)
        + 0.03 * keen.to_numpy()
        + 0.02 * (context == 2).to_numpy()
    )
    np.testing.assert_allclose(frame["like_probability"], like)
    np.testing.assert_allclose(frame["comment_probability"], comment)
    assert (
        frame.group_by("item_id").agg(pl.col("content_type").n_unique())["content_type"].max() == 1
    )


def test_a_session_of_the_feed_is_of_one_user() -> None:
    frame = make("feed_engagement", rows=1_005).frame
    sessions = frame.group_by("session_id").agg(pl.col("user_id").n_unique(), pl.len())
    assert sessions["user_id"].max() == 1
    assert sorted(sessions["len"].unique()) == [5, 10]
