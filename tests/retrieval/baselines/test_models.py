import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import DataError, RecipeError
from crosstower.retrieval.baselines import models as baselines
from crosstower.retrieval.baselines.models import (
    Ease,
    ImplicitAls,
    ItemKnn,
    Popularity,
    histories_of,
)
from crosstower.retrieval.baselines.top_items import recommend

USERS, ITEMS = 40, 15
RANDOM = np.random.default_rng(0)
DENSE = (RANDOM.random((USERS, ITEMS)) < RANDOM.random(ITEMS) * 0.5).astype(np.float64)
HISTORIES = sparse.csr_array(DENSE.astype(np.float32))


def test_repeated_pairs_count_once() -> None:
    matrix = histories_of(np.array([0, 0, 1]), np.array([2, 2, 0]), shape=(2, 3))
    assert matrix.toarray().tolist() == [[0, 0, 1], [1, 0, 0]]


def test_popularity_counts_users() -> None:
    model = Popularity.fit(HISTORIES)
    assert model.counts.tolist() == DENSE.sum(0).tolist()
    assert (model.scores(HISTORIES[:2]) == DENSE.sum(0)).all()


def test_item_knn_by_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_USER_BLOCK", 4)
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


def test_ease_solves_its_constrained_least_squares() -> None:
    """Each column of B, by a ridge regression on all other items."""
    l2 = 7.0
    weights = Ease.fit(HISTORIES, l2=l2).weights
    for j in range(ITEMS):
        others = [i for i in range(ITEMS) if i != j]
        x = DENSE[:, others]
        solved = np.linalg.solve(x.T @ x + l2 * np.eye(ITEMS - 1), x.T @ DENSE[:, j])
        np.testing.assert_allclose(weights[others, j], solved, rtol=1e-4, atol=1e-6)
        assert weights[j, j] == 0
    np.testing.assert_allclose(
        Ease(weights).scores(HISTORIES), DENSE @ weights, rtol=1e-4, atol=1e-5
    )


def test_a_catalogue_too_large_for_ease_is_refused() -> None:
    with pytest.raises(DataError, match="30,000 items would need a dense matrix of 7 GB"):
        Ease.fit(sparse.csr_array((3, 30_000), dtype=np.float32))


def test_implicit_als_ranks_what_similar_users_had() -> None:
    pytest.importorskip("implicit", reason="the package implicit is not installed")
    two = np.kron(np.eye(2), np.ones((20, 6)))  # two groups of users, each with its six items
    random = np.random.default_rng(0)
    history = sparse.csr_array((two * (random.random(two.shape) < 0.6)).astype(np.float32))
    shown = recommend(ImplicitAls.fit(history, factors=4), history, 1)[:, 0]
    left = (two - history.toarray()).sum(1) > 0
    assert (two[np.arange(40), shown][left] == 1).mean() > 0.9


def test_without_implicit_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(baselines.importlib, "import_module", missing)
    with pytest.raises(RecipeError, match="pip install implicit"):
        ImplicitAls.fit(HISTORIES)


def test_items_without_users_are_similar_to_nothing_without_shrinkage() -> None:
    dense = np.array([[1, 1, 0], [1, 0, 0]], dtype=np.float32)
    model = ItemKnn.fit(sparse.csr_array(dense), shrink=0.0)
    expected = np.zeros((3, 3))
    expected[0, 1] = expected[1, 0] = 1 / np.sqrt(2)
    np.testing.assert_allclose(model.similarity.toarray(), expected, rtol=1e-6)


def test_a_negative_shrinkage_is_refused() -> None:
    with pytest.raises(RecipeError, match="shrink of at least 0, got -1"):
        ItemKnn.fit(HISTORIES, shrink=-1.0)


@pytest.mark.parametrize("l2", [0.0, -30.0, float("nan")])
def test_ease_without_an_inverse_says_what_to_do(l2: float) -> None:
    same = sparse.csr_array(np.ones((3, 2), dtype=np.float32))
    with pytest.raises(DataError, match=r"no inverse with λ = .*take a larger l2"):
        Ease.fit(same, l2=l2)


def test_counts_go_beyond_float32() -> None:
    """2^24 + 3 users of one item: a sum in float32 stays at 2^24."""
    users = 2**24 + 3
    ones = np.ones(users, dtype=np.float32)
    starts = np.arange(users + 1, dtype=np.int32)
    everybody = sparse.csr_array((ones, np.zeros(users, dtype=np.int32), starts), (users, 1))
    assert Popularity.fit(everybody).counts[0] == np.float32(users)
