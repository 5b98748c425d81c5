import numpy as np
import polars as pl
import pytest
from sklearn.metrics import ndcg_score

from crosstower.blending.measures import OrderMeasures, task_gain, task_ndcg
from crosstower.blending.orders import order_within, share_in_top
from crosstower.blending.utility import Constraint, Utility
from crosstower.errors import DataError

KINDS = {"like": "binary", "stars": "rating"}
VIDEO = Constraint(column="kind", value="video", min_share=0.5)


def rows(seed: int = 0, count: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": random.integers(0, 20, count),
            "kind": random.choice(["photo", "video"], count, p=[0.8, 0.2]),
            "like": (random.random(count) < 0.3).astype(float),
            "stars": random.integers(1, 6, count).astype(float),
        }
    )


def utility(**keys) -> Utility:
    return Utility(**{"values": {"like": 1, "stars": 0.5}, "user": "user", "k": 5} | keys)


def test_figures_are_those_of_scikit_learn_and_counting():
    frame, score = rows(), np.random.default_rng(1).random(400)
    ndcg_of_like = Constraint(task="like", min_ndcg=0.2)
    measures = OrderMeasures(utility(constraints=(VIDEO, ndcg_of_like)), KINDS, frame)
    figures = measures.of(score)
    worth = frame["like"].to_numpy() + 0.5 * frame["stars"].to_numpy()
    groups = frame["user"].to_numpy()
    for value, column in ((figures.utility, worth), (figures.ndcg["like"], frame["like"])):
        y = np.asarray(column)
        mine = [groups == g for g in np.unique(groups)]
        oracle = [ndcg_score([y[m]], [score[m]], k=5) for m in mine if y[m].any()]
        assert value == pytest.approx(np.mean(oracle))
    shares = share_in_top(frame["user"], order_within(groups, score), frame["kind"], top=5)
    video = shares.filter(type="video")["share"].item()
    assert figures.reached == pytest.approx((video, figures.ndcg["like"]))
    assert measures.excess(figures) == pytest.approx([0.5 - video, 0.2 - figures.ndcg["like"]])


def test_total_is_the_worth_of_the_first_places():
    frame, score = rows(), np.random.default_rng(1).random(400)
    found = (
        OrderMeasures(utility(metric="total", values={"like": 2}), KINDS, frame).of(score).utility
    )
    top = frame.filter(pl.Series(order_within(frame["user"], score) <= 5))
    assert found == pytest.approx(2 * top["like"].sum() / 20)


def test_the_limit_of_a_share_is_that_of_the_formula():
    frame = rows(2, 130)
    most = Constraint(column="kind", value="photo", max_share=0.1)
    measures = OrderMeasures(utility(constraints=(VIDEO, most), k=7), KINDS, frame)
    count = frame.group_by("user").agg(
        n=pl.len(), video=(pl.col("kind") == "video").sum(), photo=(pl.col("kind") == "photo").sum()
    )
    n, video, photo = (count[c].to_numpy().astype(int) for c in ("n", "video", "photo"))
    highest = np.mean(np.minimum(7, video) / np.minimum(7, n))
    lowest = np.mean(np.maximum(np.minimum(7, n) - (n - photo), 0) / np.minimum(7, n))
    assert [measures.limit(0), measures.limit(1)] == pytest.approx([highest, lowest])
    assert measures.possible() == (highest >= 0.5 and lowest <= 0.1)


def test_rows_without_a_label_or_a_user_are_counted():
    frame = rows().with_columns(
        like=pl.when(pl.int_range(pl.len()) < 30).then(None).otherwise("like"),
        user=pl.when(pl.int_range(pl.len()).is_between(20, 39)).then(None).otherwise("user"),
    )
    measures = OrderMeasures(utility(constraints=(VIDEO,)), KINDS, frame)
    assert measures.left_out == 40
    score = np.random.default_rng(1).random(400)
    shares = share_in_top(
        frame["user"].drop_nulls(),
        order_within(frame["user"], score)[frame["user"].is_not_null().to_numpy()],
        frame.filter(pl.col("user").is_not_null())["kind"],
        top=5,
    )
    assert measures.of(score).reached[0] == pytest.approx(shares.filter(type="video")["share"][0])


def test_labels_below_zero_are_moved_to_start_at_zero():
    frame = pl.DataFrame({"gain": [-2.0, None, 3.0], "stars": [1.0, 5.0, None]})
    np.testing.assert_array_equal(task_gain(frame, "gain"), [0.0, np.nan, 5.0])
    np.testing.assert_array_equal(task_gain(frame, "stars"), [1.0, 5.0, np.nan])


def test_a_task_without_positives_has_no_ndcg():
    assert np.isnan(task_ndcg(pl.Series([1, 1]), np.arange(2.0), np.array([0.0, np.nan]), 5))


def test_what_cannot_be_measured_is_named():
    with pytest.raises(DataError, match="all 400 rows with a user and labels have the value 0"):
        OrderMeasures(utility(values={"like": 1}), KINDS, rows().with_columns(like=pl.lit(0.0)))
    needs = Constraint(task="like", min_ndcg=0.2)
    nothing = rows().with_columns(like=pl.lit(0.0))
    with pytest.raises(DataError, match="task 'like' has no positive label here"):
        OrderMeasures(utility(constraints=(needs,)), KINDS, nothing)
    wrong = VIDEO.model_copy(update={"value": "vido"})
    with pytest.raises(DataError, match="no row has kind 'vido'; did you mean 'video'"):
        OrderMeasures(utility(constraints=(wrong,)), KINDS, rows())
    with pytest.raises(DataError, match="column 'stars': expected a finite label, got inf"):
        task_gain(pl.DataFrame({"stars": [1.0, float("inf")]}), "stars")
