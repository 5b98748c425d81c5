"""The final order of candidates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.orders import order_within
from crosstower.errors import DataError
from crosstower.funnel.online.order import ranks_of


@given(st.lists(st.sampled_from([0.0, -1.0, 0.5, 2.0, 1e300]), max_size=30))
def test_ranks_are_those_of_one_group(scores: list) -> None:
    score = np.array(scores, dtype=np.float64)
    assert ranks_of(score).tolist() == order_within(np.zeros(len(score), int), score).tolist()


def test_a_score_must_be_finite() -> None:
    with pytest.raises(DataError, match="finite scores, got nan"):
        ranks_of(np.array([1.0, np.nan]))
