"""BSPM compared with Runge-Kutta steps in dense float64."""

import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.bspm import Bspm
from crosstower.retrieval.baselines.graph_filter import GraphFilter

RANDOM = np.random.default_rng(0)
DENSE = (RANDOM.random((30, 12)) < 0.3).astype(np.float64)
DENSE[:, 4] = 0.0  # an item without users
DENSE[7] = 0.0  # a user without items
HISTORIES = sparse.csr_array(DENSE.astype(np.float32))


def expected(x: np.ndarray, alpha: float, width: int, time: float) -> np.ndarray:
    """Oracle: one step of the classical Runge-Kutta method (Choi et al. 2023)."""
    users, items = DENSE.sum(1), DENSE.sum(0)
    root = np.sqrt(np.where(items > 0, items, 1.0))
    pairs = DENSE / np.sqrt(np.where(users > 0, users, 1.0))[:, None] / root
    near, v = pairs.T @ pairs, np.linalg.svd(pairs)[2][:width].T
    kept = np.where(items > 0, 1.0 / root, 0.0)
    blurred = x @ near + alpha * (x * kept) @ v @ v.T * np.sqrt(items)
    k1 = -blurred @ near
    k2 = -(blurred + time / 2 * k1) @ near
    k3 = -(blurred + time / 2 * k2) @ near
    k4 = -(blurred + time * k3) @ near
    return blurred + time / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


@pytest.mark.parametrize(("alpha", "width", "time"), [(0.3, 4, 1.0), (0.0, 4, 0.5), (1, 11, 2.5)])
def test_scores_are_those_of_the_paper(alpha: float, width: int, time: float) -> None:
    model = Bspm.fit(HISTORIES, sharpening=time, alpha=alpha, width=width)
    x = (RANDOM.random((5, 12)) < 0.3).astype(np.float64)
    found = model.scores(sparse.csr_array(x.astype(np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(x, alpha, width, time), rtol=1e-4, atol=1e-5)


def test_without_sharpening_it_is_the_graph_filter() -> None:
    found = Bspm.fit(HISTORIES, sharpening=0.0).scores(HISTORIES)
    np.testing.assert_array_equal(found, GraphFilter.fit(HISTORIES).scores(HISTORIES))


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(RecipeError, match="bspm: expected sharpening of at least 0, got -1"):
        Bspm.fit(HISTORIES, sharpening=-1.0)
