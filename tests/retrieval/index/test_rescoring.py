"""Lists that do not depend on the batch, against products in float64."""

import numpy as np
import pytest
import torch

from crosstower.retrieval.index.rescoring import products, rescored, tolerance
from crosstower.retrieval.index.vectors import Vectors, top_places, top_rows

N, D = 3_000, 24


def close_vectors(seed: int = 0) -> np.ndarray:
    """Vectors of 30 directions; those of a direction differ by a few units in the last place."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(30, D)).astype(np.float32)
    noise = 1 + random.integers(-2, 3, (N, D)) * np.float32(2.0**-23)
    return (base[random.integers(0, 30, N)] * noise).astype(np.float32)


def queries(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, D)).astype(np.float32)


def test_a_product_does_not_depend_on_the_others() -> None:
    rows, x = close_vectors()[:700].reshape(7, 100, D), queries(7)
    whole = products(rows, x)
    for query, item in ((0, 0), (3, 99), (6, 41)):
        alone = products(rows[query : query + 1, item : item + 1], x[query : query + 1])
        assert alone[0, 0] == whole[query, item]
    exact = np.einsum("qcd,qd->qc", rows.astype(np.float64), x.astype(np.float64))
    assert (
        np.abs(whole - exact) <= tolerance(x, float(np.linalg.norm(rows, axis=2).max()))[:, None]
    ).all()


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("k", [1, 10, 200, N + 5])
def test_a_list_is_the_same_alone_and_in_any_batch(storage: str, k: int) -> None:
    vectors, x = Vectors.encode(close_vectors(), storage), queries(90)  # type: ignore[arg-type]
    gone = np.arange(0, 90, 2), np.arange(0, 90, 2) * 7
    places, scores = top_places(torch.from_numpy(x), vectors, k, excluded=gone)
    for query in (0, 1, 44, 89):
        out = np.array([query * 7]) if query % 2 == 0 else np.empty(0, np.int64)
        alone = top_places(
            torch.from_numpy(x[query : query + 1]), vectors, k, excluded=(np.zeros_like(out), out)
        )
        np.testing.assert_array_equal(alone[0][0], places[query])
        np.testing.assert_array_equal(alone[1][0], scores[query])
        rows = vectors.rows(slice(0, None)).numpy()
        every = products(rows[None], x[query : query + 1])[0]
        every[out] = -np.inf
        best = np.lexsort((np.arange(N), -every))[: min(k, N - len(out))]
        np.testing.assert_array_equal(places[query][: len(best)], best)
        np.testing.assert_array_equal(scores[query][: len(best)], every[best])
        assert (places[query][len(best) :] == -1).all()


def test_a_list_of_few_items_is_the_same_as_among_all() -> None:
    vectors, x = Vectors.encode(close_vectors(), "float32"), queries(5)
    at = np.arange(100, 2_900, 2)
    gone = np.array([0, 0, 4]), np.array([102, 3, 2_000])
    wanted = top_places(torch.from_numpy(x), vectors, 30, allowed=at, excluded=gone)
    rows = vectors.rows(at).numpy()
    found = top_rows(x, rows, at, 30, excluded=gone)
    np.testing.assert_array_equal(found[0], wanted[0])
    np.testing.assert_array_equal(found[1], wanted[1])
    alone = top_rows(x[:1], rows, at, 30, excluded=(gone[0][:2], gone[1][:2]))
    np.testing.assert_array_equal(alone[0], wanted[0][:1])


def test_equal_items_are_in_the_order_of_their_places() -> None:
    vectors = Vectors.encode(np.ones((500, D), np.float32), "float32")
    places, scores = top_places(torch.ones(3, D), vectors, 40)
    np.testing.assert_array_equal(places, np.tile(np.arange(40), (3, 1)))
    assert (scores == D).all()


def test_candidates_that_may_not_be_all_are_completed() -> None:
    rows = np.ones((50, 2), np.float32)
    asked = list[tuple[int, float]]()

    def above(query: int, least: float) -> np.ndarray:
        asked.append((query, least))
        return np.arange(50)

    given = {"places": np.array([[40, 30]]), "scores": np.full((1, 2), 2.0, np.float32)}
    x = np.ones((1, 2), np.float32)
    found = rescored(x, rows.__getitem__, 2, **given, largest_norm=1.5, above=above)
    assert found[0].tolist() == [[0, 1]]
    (only,) = asked
    assert only[0] == 0
    assert 2 - 1e-5 < only[1] < 2
