import numpy as np
from scipy import sparse

from crosstower.retrieval.baselines.baseline import histories_of

USERS, ITEMS = 40, 15
RANDOM = np.random.default_rng(0)
DENSE = (RANDOM.random((USERS, ITEMS)) < RANDOM.random(ITEMS) * 0.5).astype(np.float64)
HISTORIES = sparse.csr_array(DENSE.astype(np.float32))


def test_repeated_pairs_count_once() -> None:
    matrix = histories_of(np.array([0, 0, 1]), np.array([2, 2, 0]), shape=(2, 3))
    assert matrix.toarray().tolist() == [[0, 0, 1], [1, 0, 0]]
