import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines import item_knn
from crosstower.retrieval.baselines.item_knn import ItemKnn

from .test_baseline import DENSE, HISTORIES, ITEMS


def test_item_knn_by_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_knn, "_USER_BLOCK", 4)
    similarity = np.zeros((ITEMS, ITEMS))
    for i in range(ITEMS):
        for j in range(ITEMS):
            both = (DENSE[:, i] * DENSE[:, j]).sum()
            root = np.sqrt(DENSE[:, i].sum() * DENSE[:, j].sum())
            similarity[i, j] = 0.0 if i == j else both / (root + 3.0)
    all_kept = ItemKnn.fit(HISTORIES, neighbours=ITEMS, shrink=3.0)
    np.testing.assert_allclose(all_kept.similarity.toarray(), similarity, rtol=1e-5)
    np.testing.assert_allclose(all_kept.scores(HISTORIES), DENSE @ similarity, rtol=1e-4)
    few = ItemKnn.fit(HISTORIES, neighbours=3, shrink=3.0).similarity.toarray()
    assert ((few > 0).sum(1) <= 3).all()
    np.testing.assert_allclose(few.max(1), similarity.max(1), rtol=1e-5)


def test_items_without_users_are_similar_to_nothing_without_shrinkage() -> None:
    dense = np.array([[1, 1, 0], [1, 0, 0]], dtype=np.float32)
    model = ItemKnn.fit(sparse.csr_array(dense), shrink=0.0)
    expected = np.zeros((3, 3))
    expected[0, 1] = expected[1, 0] = 1 / np.sqrt(2)
    np.testing.assert_allclose(model.similarity.toarray(), expected, rtol=1e-6)


def test_a_negative_shrinkage_is_refused() -> None:
    with pytest.raises(RecipeError, match="shrink of at least 0, got -1"):
        ItemKnn.fit(HISTORIES, shrink=-1.0)
