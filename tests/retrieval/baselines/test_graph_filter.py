"""GF-CF compared with its formula in dense float64."""

import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.graph_filter import GraphFilter

RANDOM = np.random.default_rng(0)
DENSE = (RANDOM.random((30, 12)) < 0.3).astype(np.float64)
DENSE[:, 4] = 0.0  # an item without users
DENSE[7] = 0.0  # a user without items


def expected(x: np.ndarray, alpha: float, width: int) -> np.ndarray:
    """Oracle: dense products and NumPy's full decomposition (Shen et al. 2021)."""
    users, items = DENSE.sum(1), DENSE.sum(0)
    root = np.sqrt(np.where(items > 0, items, 1.0))
    pairs = DENSE / np.sqrt(np.where(users > 0, users, 1.0))[:, None] / root
    v = np.linalg.svd(pairs)[2][:width].T
    kept = np.where(items > 0, 1.0 / root, 0.0)
    return x @ pairs.T @ pairs + alpha * (x * kept) @ v @ v.T * np.sqrt(items)


@pytest.mark.parametrize(("alpha", "width"), [(0.3, 4), (0.0, 4), (2.0, 11)])
def test_scores_are_those_of_the_paper(alpha: float, width: int) -> None:
    model = GraphFilter.fit(sparse.csr_array(DENSE.astype(np.float32)), alpha=alpha, width=width)
    x = (RANDOM.random((5, 12)) < 0.3).astype(np.float64)
    found = model.scores(sparse.csr_array(x.astype(np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(x, alpha, width), rtol=1e-4, atol=1e-5)


def test_a_width_beyond_the_rank_is_cut_and_one_item_is_enough() -> None:
    histories = sparse.csr_array(DENSE.astype(np.float32))
    wide, whole = GraphFilter.fit(histories, width=256), GraphFilter.fit(histories, width=11)
    np.testing.assert_allclose(wide.scores(histories), whole.scores(histories), atol=1e-6)
    one = GraphFilter.fit(sparse.csr_array(np.ones((2, 1), np.float32)))
    assert one.scores(sparse.csr_array(np.ones((1, 1), np.float32))).shape == (1, 1)


@pytest.mark.parametrize("wrong", [{"alpha": -0.1}, {"width": 0}])
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(RecipeError, match="expected alpha of at least 0 and width"):
        GraphFilter.fit(sparse.csr_array(DENSE), **wrong)
