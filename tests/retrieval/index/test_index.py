"""Hits, and wrong queries."""

import numpy as np
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index import nearest_items
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.index import Hits

from .test_exact import ATTRIBUTES, EVERYTHING, IDS, QUERIES, VECTORS, D, oracle


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ExactIndex:
    monkeypatch.setattr(nearest_items, "_MOST_ITEMS", 64)
    monkeypatch.setattr(nearest_items, "_QUERY_BLOCK", 3)
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


def test_a_frame_has_a_row_a_hit(index: ExactIndex) -> None:
    frame = index.search(QUERIES[:2], 3).frame()
    assert frame["query"].to_list() == [0, 0, 0, 1, 1, 1]
    assert frame["rank"].to_list() == [1, 2, 3, 1, 2, 3]
    assert frame["item_id"].to_list()[:3] == oracle(EVERYTHING, 3, 0)


def test_places_are_given_in_the_order_of_another_catalogue(index: ExactIndex) -> None:
    hits, others = index.search(QUERIES[:2], 3), Catalogue(list(reversed(IDS[1:])))
    for row, query in zip(hits.places_in(others).tolist(), range(2), strict=True):
        known = [others.ids[place] if place >= 0 else IDS[0] for place in row]
        assert known == hits.ids(query).to_list()
    none = Hits(index.catalogue, np.array([[-1]]), np.array([[-np.inf]], np.float32))
    assert none.places_in(others).tolist() == [[-1]]


def test_wrong_queries_are_refused(index: ExactIndex) -> None:
    with pytest.raises(QueryError, match=r"expected \[queries, 8\], got shape \[1, 3\]"):
        index.search(np.zeros((1, 3)), 5)
    with pytest.raises(QueryError, match="a number is not finite"):
        index.search(np.full((1, D), np.nan), 5)
    with pytest.raises(QueryError, match="k: expected at least 1, got 0"):
        index.search(QUERIES, 0)
    with pytest.raises(QueryError, match="1 lists for 7 queries"):
        index.search(QUERIES, 5, exclude=[[]])
    with pytest.raises(QueryError, match="did you mean 'price'"):
        index.search(QUERIES, 5, where="prize < 3")
