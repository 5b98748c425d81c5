"""How thoroughly to search."""

import numpy as np
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index import ann, blocks
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex

from .test_ann import ATTRIBUTES, IDS, VECTORS, of_ten, towers

# Of different lengths, so that the largest inner product is not the nearest direction.


@pytest.fixture(scope="module")
def exact() -> ExactIndex:
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks where an index of this size would score every item."""
    monkeypatch.setattr(ann, "_LOOSE", 200)
    monkeypatch.setattr(ann, "GATHERED", 100)
    monkeypatch.setattr(blocks, "_SMALLEST", 16)


@pytest.fixture
def index() -> AnnIndex:
    return AnnIndex.build(IDS, VECTORS, ATTRIBUTES)


def test_examples_of_queries_count_in_calibration() -> None:
    x, queries = towers(4_000, np.random.default_rng(3))
    index = AnnIndex.build(np.arange(4_000), x, queries=queries)
    exact = ExactIndex.build(np.arange(4_000), x)
    assert of_ten(index, exact, queries) >= 0.95
    with pytest.raises(QueryError, match=r"expected \[queries, 64\]"):
        AnnIndex.build(np.arange(4_000), x, queries=queries[:, :3])
