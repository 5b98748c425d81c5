"""Vectors in blocks that hold near ones together."""

import numpy as np
import pytest
import torch

from crosstower.retrieval.index import blocks
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex

from .conftest import IDS, QUERIES, VECTORS

pytestmark = pytest.mark.usefixtures("small")


def test_an_outlier_and_equal_vectors_leave_recall_as_it_is() -> None:
    x = VECTORS.copy()
    x[7] *= 1e4
    x[100:400] = x[100]
    index, exact = (one.build(IDS, x) for one in (AnnIndex, ExactIndex))
    found, truth = (one.search(QUERIES, 10) for one in (index, exact))
    assert np.isclose(found.scores, truth.scores, rtol=1e-4).mean() >= 0.95
    assert found.places[:, 0].tolist() == truth.places[:, 0].tolist()


@pytest.mark.parametrize("count", [201, 999, 3_000])
def test_blocks_hold_each_item_once(count: int) -> None:
    vectors = ExactIndex.build(IDS, VECTORS).vectors
    made, left = blocks.Blocks.build(vectors, np.arange(count))
    places = np.concatenate([made.places.numpy().ravel(), left])  # type: ignore[union-attr]
    assert sorted(places) == list(range(count))
    q = torch.from_numpy(QUERIES[0])
    base = made.centres[:, :-1] @ q  # type: ignore[union-attr]
    estimated = made.estimates(q, base, torch.arange(len(made)))  # type: ignore[union-attr, arg-type]
    np.testing.assert_allclose(made.peaks(q, base), estimated.amax(1), rtol=1e-5)  # type: ignore[union-attr]
    true = torch.from_numpy(VECTORS)[made.places.long()] @ q  # type: ignore[union-attr]
    assert float((estimated - true).abs().max()) <= 0.03 * float(true.abs().max())
