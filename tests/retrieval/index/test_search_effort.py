"""How thoroughly to search."""

import numpy as np
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex

from .test_ann import of_ten, towers

pytestmark = pytest.mark.usefixtures("small")


def test_examples_of_queries_count_in_calibration() -> None:
    x, queries = towers(4_000, np.random.default_rng(3))
    index = AnnIndex.build(np.arange(4_000), x, queries=queries)
    exact = ExactIndex.build(np.arange(4_000), x)
    assert of_ten(index, exact, queries) >= 0.95
    with pytest.raises(QueryError, match=r"expected \[queries, 64\]"):
        AnnIndex.build(np.arange(4_000), x, queries=queries[:, :3])
