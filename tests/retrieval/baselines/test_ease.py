import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import DataError
from crosstower.retrieval.baselines.ease import Ease

from .test_baseline import DENSE, HISTORIES, ITEMS


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


@pytest.mark.parametrize("l2", [0.0, -30.0, float("nan")])
def test_ease_without_an_inverse_says_what_to_do(l2: float) -> None:
    same = sparse.csr_array(np.ones((3, 2), dtype=np.float32))
    with pytest.raises(DataError, match=r"no inverse with λ = .*take a larger l2"):
        Ease.fit(same, l2=l2)
