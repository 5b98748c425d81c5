import numpy as np
import pytest

from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.scan import Settings


@pytest.mark.parametrize("spare", [2, 32])
def test_long_lists_score_few_more_items_than_they_have(spare: int) -> None:
    settings = Settings(spare=spare)
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
