import numpy as np
import polars as pl

from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.newest_rows import newest_rows, user_column


def test_the_rows_of_a_user_are_a_cluster(bundle: Bundle) -> None:
    frame = pl.DataFrame({"user_id": [7, None, 3, 7, None], "x": range(5)})
    found = newest_rows(frame, bundle, most=10, seed=0)
    assert found.user == "user_id"
    assert found.count == 4  # two rows without a user are a cluster each
    assert found.clusters[0] == found.clusters[3]
    assert len(set(found.clusters.tolist())) == 4


def test_rows_without_a_column_of_users_are_clusters(bundle: Bundle) -> None:
    found = newest_rows(pl.DataFrame({"x": range(5)}), bundle, most=10, seed=0)
    assert found.user is None
    assert found.clusters.tolist() == [0, 1, 2, 3, 4]


def test_whole_users_are_sampled(bundle: Bundle) -> None:
    frame = pl.DataFrame({"user_id": np.repeat(np.arange(50), 10)})
    found = newest_rows(frame, bundle, most=205, seed=3)
    assert found.frame.height == 200
    assert found.count == 20
    assert found.frame["user_id"].value_counts()["count"].unique().to_list() == [10]
    again = newest_rows(frame, bundle, most=205, seed=3)
    assert found.frame.equals(again.frame)


def test_a_user_with_more_rows_than_wanted_is_kept(bundle: Bundle) -> None:
    frame = pl.DataFrame({"user_id": [1] * 30})
    assert newest_rows(frame, bundle, most=10, seed=0).frame.height == 30


def test_the_user_is_that_of_the_retriever(bundle: Bundle) -> None:
    assert user_column(bundle) == "user_id"
