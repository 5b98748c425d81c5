from collections.abc import Iterator

import numpy as np
import pytest

from crosstower.errors import RecipeError
from crosstower.evaluation.metrics.ranked_lists import list_metrics, mean_metrics
from crosstower.evaluation.metrics.registry import (
    METRICS,
    LabelledPredictions,
    RankedLists,
    ShownItems,
    direction_of,
    metrics_of,
    monitored,
    names_of,
    register_metric,
    title_of,
)
from crosstower.evaluation.metrics.tasks import task_metrics

Y, P = np.array([0.0, 1.0, 1.0]), np.array([0.25, 0.5, 1.0])
RELEVANT = (np.array([0, 0]), np.array([1, 2]))


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    METRICS.load()
    entries, modules = dict(METRICS.entries), dict(METRICS.modules)
    yield
    METRICS.entries, METRICS.modules = entries, modules


def test_tables_show_metrics_in_a_fixed_order() -> None:
    assert names_of("binary", shown="table") == (
        "auc", "gauc", "log_loss", "ece", "accuracy", "ndcg@10", "weighted_log_loss", "weighted_auc"
    )  # fmt: skip
    assert names_of("regression", shown="report") == (
        "rmse", "mse", "mae", "mean_prediction", "mean_label", "bias_sds", "weighted_rmse"
    )  # fmt: skip
    assert names_of("list", "catalogue", shown="card") == ("recall", "ndcg", "mrr", "coverage")
    assert monitored("list") == ("recall", "ndcg", "mrr", "hit_rate", "map")


def test_a_name_has_a_title_and_a_direction() -> None:
    assert title_of("recall@10") == "Recall@10"
    assert title_of("my_metric") == "my_metric"
    assert (direction_of("log_loss"), direction_of("ndcg@5")) == ("lower", "higher")
    assert direction_of("bias_sds") is None
    assert direction_of("my_metric") is None


def test_a_registered_metric_of_a_task_is_computed_and_monitored() -> None:
    @register_metric("brier", kinds=("binary",), title="Brier score", better="lower")
    def brier(rows: LabelledPredictions) -> float:
        return float(np.mean((rows.predictions - rows.labels) ** 2))

    assert task_metrics("binary", Y, P)["brier"] == pytest.approx((0.0625 + 0.25) / 3)
    assert "brier" not in task_metrics("regression", Y, P)
    assert "brier" in monitored("binary")
    assert names_of("binary", shown="table")[-1] == "brier"


def test_a_metric_of_groups_is_left_out_without_them() -> None:
    @register_metric("groups", kinds=("binary",), grouped=True)
    def groups(rows: LabelledPredictions) -> float:
        return float(len(np.unique(np.asarray(rows.groups))))

    assert "groups" not in task_metrics("binary", Y, P)
    assert task_metrics("binary", Y, P, np.array([7, 7, 8]))["groups"] == 2.0


def test_registered_metrics_of_lists_and_of_the_catalogue_are_computed_at_each_k() -> None:
    @register_metric("first", kinds=("list",), better="higher")
    def first(lists: RankedLists) -> np.ndarray:
        return lists.hits[:, 0]

    @register_metric("longest", kinds=("catalogue",))
    def longest(shown: ShownItems) -> int:
        return shown.items.shape[1]

    found = list_metrics(np.array([[1, 5], [1, 5]]), RELEVANT, [1, 2])
    np.testing.assert_array_equal(found["first@2"], [1.0, np.nan])  # nothing relevant: undefined
    means = mean_metrics(np.array([[1, 5]]), RELEVANT, np.ones(6, np.int64), [1, 2])
    assert (means["first@1"], means["longest@2"]) == (1.0, 2.0)


def test_a_function_of_the_wrong_shape_is_named() -> None:
    @register_metric("bad", kinds=("binary", "list"))
    def bad(given: object) -> object:
        return np.zeros((2, 2))

    with pytest.raises(RecipeError, match="metric 'bad': its function must return a number, got"):
        task_metrics("binary", Y, P)
    words = r"metric 'bad': its function must return one number per query \[1\], got .*\[2, 2\]"
    with pytest.raises(RecipeError, match=words):
        list_metrics(np.array([[1, 5]]), RELEVANT, [1])


def test_every_built_in_metric_is_shown_or_named_by_another() -> None:
    kinds = ("binary", "regression", "rating", "list", "catalogue")
    hidden = {m.name for m in metrics_of(*kinds) if not m.shown}
    assert hidden == {"base_rate", "rmse_of_mean"}
