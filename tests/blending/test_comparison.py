import numpy as np
import polars as pl
import pytest

from crosstower.blending.comparison import ComparisonSpec, measure
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.recipe.schema import Numeric, Schema
from crosstower.recipe.tasks import Binary, Regression

SCHEMA = Schema(columns={"age": Numeric()}, tasks={"like": Binary(), "profit": Regression()})


def test_totals_are_of_the_labels_as_they_are_also_where_those_are_losses():
    frame = pl.DataFrame(
        {
            "user": ["a", "a", "a", "b", "b", "b"],
            "like": [1, 0, 1, 0, None, 1],
            "profit": [-5.0, 2.0, 10.0, -3.0, -1.0, None],
        }
    )
    score = np.array([3.0, 2.0, 1.0, 1.0, 2.0, 3.0])
    found = measure(
        ComparisonSpec(SCHEMA, "user", 2), "blend", "model", score, frame=frame, by=None
    )
    assert found.groups["total.profit"].values.tolist() == [-3.0, -4.0]
    assert found.values["total.profit"] == pytest.approx(-3.5)
    assert found.groups["total.like"].values.tolist() == [1.0, 1.0]
    # An NDCG has no place for losses: the worst label counts as 0 there.
    moved = ndcg_per_group(frame["user"], score, frame["profit"] + 5.0, 2)
    assert found.values["ndcg.profit"] == moved.mean
