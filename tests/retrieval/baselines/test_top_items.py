import numpy as np
import pytest
from scipy import sparse

from crosstower.retrieval.baselines import top_items
from crosstower.retrieval.baselines.ease import Ease
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.baselines.popularity import Popularity
from crosstower.retrieval.baselines.top_items import recommend

from .test_baseline import DENSE, HISTORIES, ITEMS, USERS


def test_recommended_items_are_new_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_items, "_ROWS", 7)
    model = Ease.fit(HISTORIES, l2=7.0)
    scores = DENSE @ model.weights
    shown = recommend(model, HISTORIES, 6)
    for user in range(USERS):
        order = [i for i in np.argsort(-scores[user], kind="stable") if not DENSE[user, i]]
        assert shown[user].tolist() == order[:6]


def test_a_user_who_had_nearly_all_gets_what_is_left() -> None:
    full = np.ones((1, 4), dtype=np.float32)
    full[0, 2] = 0
    shown = recommend(Popularity(np.arange(4, dtype=np.float32)), sparse.csr_array(full), 6)
    assert shown.tolist() == [[2, -1, -1, -1, -1, -1]]


def test_equal_scores_come_in_the_order_of_the_catalogue() -> None:
    nothing = sparse.csr_array((1, 5), dtype=np.float32)
    assert recommend(Popularity(np.ones(5, np.float32)), nothing, 3).tolist() == [[0, 1, 2]]


def test_the_best_items_by_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_items, "_ROWS", 7)
    model = ItemKnn.fit(HISTORIES, neighbours=ITEMS, shrink=3.0)
    scores = model.scores(HISTORIES)
    seen = (np.array([0, 0, 12]), np.array([3, 4, 5]))
    shown = recommend(model, HISTORIES, 4, seen=seen)
    for user in range(USERS):
        left_out = set(seen[1][seen[0] == user])
        order = [i for i in np.argsort(-scores[user], kind="stable") if i not in left_out]
        np.testing.assert_allclose(scores[user][shown[user]], scores[user][order[:4]])
        assert not set(shown[user]) & left_out


@pytest.mark.parametrize("k", [3, 9, 20])
def test_of_equal_scores_the_more_popular_item_comes_first(
    k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_items, "_CELLS", 7 * 12)  # seven rows per block
    random = np.random.default_rng(1)
    scores = random.integers(0, 3, (30, 12)).astype(np.float32)  # many equal ones
    scores[4] = 0.0  # of an empty history
    counts = random.integers(0, 5, 12)
    seen = (np.array([0, 0, 12]), np.array([3, 4, 5]))
    given = {"rows": 30, "k": k, "seen": seen, "counts": counts}
    blocks = list[int]()

    def score(rows: slice) -> np.ndarray:
        blocks.append(len(scores[rows]))
        return scores[rows].copy()

    shown = top_items.best_items(score, **given)
    assert blocks == [7, 7, 7, 7, 2]
    for row in range(30):
        left = [i for i in range(12) if i not in seen[1][seen[0] == row]]
        best = sorted(left, key=lambda i: (-scores[row, i], -counts[i], i))[:k]
        assert shown[row].tolist() == best + [-1] * (k - len(best))
