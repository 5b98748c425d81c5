"""Tables of neighbours, compared with dense matrices."""

import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import DataError
from crosstower.retrieval.sources.candidate_source import SourceQuery
from crosstower.retrieval.sources.item_knn import ItemKnnOptions, ItemKnnSource
from crosstower.retrieval.sources.neighbours import each_once, table_of

RANDOM = np.random.default_rng(1)
N = 60


def dense(count: int) -> np.ndarray:
    """Some weights, also negative ones."""
    return np.where(RANDOM.random((N, N)) < 0.3, RANDOM.normal(size=(N, N)), 0.0)


@pytest.mark.parametrize("neighbours", [1, 5, N])
def test_the_strongest_entries_of_each_row_are_kept(neighbours: int) -> None:
    matrix = dense(N)
    table = table_of(sparse.csr_array(matrix), neighbours)
    for row in range(N):
        own = slice(table["starts"][row], table["starts"][row + 1])
        order = np.argsort(-np.abs(matrix[row]), kind="stable")[:neighbours]
        expected = {int(i): matrix[row, i] for i in order if matrix[row, i] != 0}
        found = dict(zip(table["items"][own].tolist(), table["weights"][own], strict=True))
        assert found.keys() == expected.keys()
        np.testing.assert_allclose(list(found.values()), [expected[i] for i in found], rtol=1e-6)


@pytest.mark.parametrize("length", [1, 3, 40, 10_000])
def test_scores_are_sums_over_the_history(length: int) -> None:
    matrix = dense(N)
    source = ItemKnnSource(ItemKnnOptions(), table_of(matrix, N))
    history = RANDOM.integers(0, N + 3, length)  # places from N on are newer items
    known = np.unique(history[history < N])
    expected = matrix[known].astype(np.float32).sum(0)
    parts = list(source.parts(SourceQuery(history)))
    places = np.concatenate([np.empty(0, np.int64), *(place for place, _ in parts)])
    scores = np.concatenate([np.empty(0), *(score for _, score in parts)])
    assert set(places.tolist()) == set(np.flatnonzero(expected > 1e-6).tolist())
    np.testing.assert_allclose(scores, expected[places], rtol=1e-4, atol=1e-6)
    assert (np.diff(scores) <= 0).all()


def test_an_empty_history_finds_nothing() -> None:
    source = ItemKnnSource(ItemKnnOptions(), table_of(dense(N), 3))
    assert list(source.parts(SourceQuery())) == []
    assert list(source.parts(SourceQuery(np.array([N, N + 1])))) == []


def test_a_table_without_neighbours_is_refused() -> None:
    with pytest.raises(DataError, match="no user has two training rows"):
        table_of(np.zeros((4, 4)), 2)


def test_items_of_a_history_count_once() -> None:
    items, weights = each_once(np.array([3, 1, 3]))
    assert (items.tolist(), weights.tolist()) == ([1, 3], [1.0, 1.0])
