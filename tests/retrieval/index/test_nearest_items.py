import numpy as np
import pytest
import torch

from crosstower.retrieval.index import nearest_items
from crosstower.retrieval.index.nearest_items import NearestItems, largest_columns

N, D, Q, K = 700, 8, 7, 5


def random_scores(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(columns).normal(size=(rows, columns)).astype(np.float32)


@pytest.mark.parametrize("columns", [5, 640, 2_560, 2_561, 2_591, 7_000])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_largest_are_those_of_a_sort(columns: int, k: int) -> None:
    scores = random_scores(7, columns)
    at = largest_columns(scores, k)
    found = -np.sort(-np.take_along_axis(scores, at, 1), axis=1)
    np.testing.assert_array_equal(found, -np.sort(-scores, axis=1)[:, :k])


def test_equal_scores_are_found_once_each() -> None:
    scores = np.random.default_rng(1).integers(0, 4, (5, 4_000)).astype(np.float32)
    at = largest_columns(scores, 30)
    assert (np.take_along_axis(scores, at, 1) == 3).all()
    assert all(len(set(row)) == 30 for row in at.tolist())


def test_a_row_of_which_little_may_be_shown() -> None:
    scores = np.full((3, 4_001), -np.inf, np.float32)
    scores[0, [17, 4_000]] = 1.0, 2.0
    at = largest_columns(scores, 10)
    assert {17, 4_000} <= set(at[0].tolist())
    assert all(len(set(row)) == 10 for row in at.tolist())


@pytest.mark.parametrize("order", ["as they come", "ascending", "descending", "all equal"])
@pytest.mark.parametrize("columns", [32, 64, 1_024])
def test_the_best_are_those_of_all_products(
    order: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest_items, "_QUERY_BLOCK", 3)
    monkeypatch.setattr(nearest_items, "_MOST_COLUMNS", columns)
    monkeypatch.setattr(nearest_items, "_MOST_ITEMS", 300)
    queries, rows = random_scores(Q, D), random_scores(N, D)
    if order == "all equal":
        rows[:] = rows[0]
    elif order != "as they come":
        sign = 1 if order == "ascending" else -1
        rows = rows[np.argsort(sign * (rows @ queries[0]))]
    query, row = np.repeat(np.arange(Q), 40), np.tile(np.arange(0, N, N // 40)[:40], Q)
    allowed = np.delete(np.arange(N), [350, 351])
    nearest = NearestItems(
        torch.from_numpy(queries),
        torch.from_numpy(rows).__getitem__,
        K,
        allowed=allowed,
        gone=(query[::-1], row[::-1]),
    )
    places, scores = nearest.best_first()
    products = queries @ rows.T
    products[query, row] = products[:, [350, 351]] = -np.inf
    np.testing.assert_allclose(scores, -np.sort(-products, axis=1)[:, :K], rtol=1e-5, atol=1e-6)
    own = np.take_along_axis(products, places, 1)
    np.testing.assert_allclose(own, scores, rtol=1e-5, atol=1e-6)
    assert all(len(set(found)) == K for found in places.tolist())
    near = np.flatnonzero(products[0] >= scores[0, -1] - 1e-3)
    np.testing.assert_array_equal(nearest.above(0, float(scores[0, -1]) - 1e-3), near)


def test_a_query_with_fewer_items_than_asked_for() -> None:
    items = torch.tensor([[1.0, 9.0], [2.0, 8.0], [3.0, 7.0]])
    gone = np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2])
    nearest = NearestItems(torch.eye(2), items.__getitem__, 3, allowed=np.arange(3), gone=gone)
    places, scores = nearest.best_first()
    assert np.isneginf(scores[0]).all()
    assert places[1, :2].tolist() == [0, 1]
    assert scores[1].tolist() == [9.0, 8.0, -np.inf]
