"""What adapters of engines outside of the process share."""

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index.external import checked_items, hits_of


def test_items_that_no_engine_can_hold_are_refused() -> None:
    with pytest.raises(QueryError, match=r"expected \[2, width\] and at least one item, got shape"):
        checked_items([1, 2], np.ones((3, 2)), None)
    with pytest.raises(QueryError, match="at least one item"):
        checked_items([], np.ones((0, 2)), None)
    with pytest.raises(QueryError, match="not finite"):
        checked_items([1], np.array([[np.inf]]), None)
    with pytest.raises(QueryError, match="3 rows for 1 items"):
        checked_items([1], np.ones((1, 2)), pl.DataFrame({"a": [1, 2, 3]}))


def test_hits_keep_order_scores_and_gaps() -> None:
    found = hits_of([[("b", 2.0), ("a", 1.0)], [("b", 0.5)]], k=3)
    assert found.frame().rows() == [(0, 1, "b", 2.0), (0, 2, "a", 1.0), (1, 1, "b", 0.5)]
    assert found.places[1, 1:].tolist() == [-1, -1]
    assert np.isneginf(found.scores[1, 1:]).all()
