"""How thoroughly to search."""

import numpy as np
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.search_effort import recall_of

from .test_ann import of_ten, towers

pytestmark = pytest.mark.usefixtures("small")


def test_recall_is_the_share_of_true_places() -> None:
    found, truth = np.array([[3, 1, -1], [5, 6, 7]]), np.array([[1, 2, 3], [8, -1, -1]])
    assert recall_of(found, truth) == pytest.approx((2 / 3 + 0) / 2)
    assert recall_of(truth, truth) == 1.0


def test_examples_of_queries_count_in_calibration() -> None:
    x, queries = towers(4_000, np.random.default_rng(3))
    index = AnnIndex.build(np.arange(4_000), x, queries=queries)
    exact = ExactIndex.build(np.arange(4_000), x)
    assert of_ten(index, exact, queries) >= 0.95
    with pytest.raises(QueryError, match=r"expected \[queries, 64\]"):
        AnnIndex.build(np.arange(4_000), x, queries=queries[:, :3])
