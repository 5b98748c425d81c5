"""Clustered vectors, and indexes of them."""

import numpy as np
import polars as pl
import pytest

from crosstower.retrieval.index import ann, blocks
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex

N, D = 3000, 16
RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(size=(60, D))
# Of different lengths, so that the largest inner product is not the nearest direction.
VECTORS = (CENTRES[RANDOM.integers(0, 60, N)] + 0.4 * RANDOM.normal(size=(N, D))).astype(np.float32)
VECTORS *= RANDOM.uniform(0.5, 2.0, (N, 1)).astype(np.float32)
QUERIES = (CENTRES[:40] + 0.3 * RANDOM.normal(size=(40, D))).astype(np.float32)
IDS = [f"i{i}" for i in range(N)]
ATTRIBUTES = pl.DataFrame({"city": RANDOM.choice(["Paris", "Rome", "Oslo"], N)})


@pytest.fixture(scope="module")
def exact() -> ExactIndex:
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have blocks where an index of this size would score every item."""
    monkeypatch.setattr(ann, "_LOOSE", 200)
    monkeypatch.setattr(ann, "GATHERED", 100)
    monkeypatch.setattr(blocks, "_SMALLEST", 16)


@pytest.fixture
def index() -> AnnIndex:
    return AnnIndex.build(IDS, VECTORS, ATTRIBUTES)
