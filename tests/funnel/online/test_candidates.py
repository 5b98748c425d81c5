"""Candidates of retrieval as the ranker gets them."""

import numpy as np

from crosstower.funnel.online.candidates import candidates_of
from crosstower.retrieval.online.request import Candidates


def test_candidates_keep_the_order_of_retrieval() -> None:
    found = candidates_of(Candidates(np.array([4, 2]), np.array([0.5, 0.25]), fallback="popular"))
    assert found.retrieval_rank is not None
    assert (found.retrieval_rank.tolist(), found.retrieved) == ([1, 2], 2)
    assert found.score is found.retrieval_score
    assert (found.fallback, found.sources) == ("popular", None)
