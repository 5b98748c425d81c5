import numpy as np
import pytest

from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.scan import ScanSettings


@pytest.mark.parametrize("spare", [2, 32])
def test_long_lists_score_few_more_items_than_they_have(spare: int) -> None:
    settings = ScanSettings(spare=spare)
    assert settings.scored(10) >= 10 * spare
    assert settings.scored(1_000) <= 2 * 1_000


@pytest.mark.parametrize("k", [10, 100, 500])
def test_long_lists_hold_the_best_items(k: int) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(20_000, 24)).astype(np.float32)
    queries = random.normal(size=(30, 24)).astype(np.float32)
    ids = np.arange(len(vectors))
    found = AnnIndex.build(ids, vectors).search(queries, k)
    truth = ExactIndex.build(ids, vectors).search(queries, k)
    shares = [len(set(found.ids(i)) & set(truth.ids(i))) / k for i in range(len(queries))]
    assert np.mean(shares) >= 0.97


@pytest.mark.parametrize("k", [10, 500, 1_000])
def test_nearly_collinear_vectors_of_which_most_blocks_are_scanned(k: int) -> None:
    random = np.random.default_rng(0)
    around = random.normal(size=24) + 0.3 * random.normal(size=(20_030, 24))
    vectors = (around / np.linalg.norm(around, axis=1, keepdims=True)).astype(np.float32)
    ids, queries = np.arange(20_000), vectors[20_000:]
    index = AnnIndex.build(ids, vectors[:20_000])
    truth = ExactIndex.build(ids, vectors[:20_000]).search(queries, k)
    found = index.search(queries, k, exclude=[[] for _ in queries])
    shares = [len(set(found.ids(i)) & set(truth.ids(i))) / k for i in range(len(queries))]
    assert np.mean(shares) >= 0.97
    np.testing.assert_allclose(found.scores[:, 0], truth.scores[:, 0], rtol=1e-4)
