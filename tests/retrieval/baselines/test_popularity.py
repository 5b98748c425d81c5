import numpy as np
from scipy import sparse

from crosstower.retrieval.baselines.popularity import Popularity

from .test_baseline import DENSE, HISTORIES


def test_popularity_counts_users() -> None:
    model = Popularity.fit(HISTORIES)
    assert model.counts.tolist() == DENSE.sum(0).tolist()
    assert (model.scores(HISTORIES[:2]) == DENSE.sum(0)).all()


def test_counts_go_beyond_float32() -> None:
    """2^24 + 3 users of one item: a sum in float32 stays at 2^24."""
    users = 2**24 + 3
    ones = np.ones(users, dtype=np.float32)
    starts = np.arange(users + 1, dtype=np.int32)
    everybody = sparse.csr_array((ones, np.zeros(users, dtype=np.int32), starts), (users, 1))
    assert Popularity.fit(everybody).counts[0] == np.float32(users)
