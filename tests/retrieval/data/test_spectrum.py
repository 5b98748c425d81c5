"""Singular vectors against NumPy's dense decomposition, also where the spectrum is degenerate."""

import numpy as np
import pytest
from scipy import sparse

from crosstower.retrieval.data.spectrum import inverse_roots, right_vectors, scaled_pairs


def random_pairs(users: int, items: int) -> np.ndarray:
    return (np.random.default_rng(0).random((users, items)) < 0.2).astype(float)


def rank_one(users: int, items: int) -> np.ndarray:
    return np.ones((users, items)) * (np.arange(items) < items - 2)


def blocks(users: int, items: int) -> np.ndarray:
    """Return components of equal form, whose largest singular values are equal."""
    return np.kron(np.eye(users // 2), np.ones((2, items // (users // 2))))


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (30, 30)])
def test_strong_vectors_are_those_of_numpy(shape: tuple[int, int]) -> None:
    matrix = scaled_pairs(sparse.csr_array(random_pairs(*shape)))
    found = right_vectors(matrix, 6)
    expected = np.linalg.svd(matrix.toarray())[2][5::-1]
    np.testing.assert_allclose(np.abs(np.sum(found * expected, axis=1)), 1.0, atol=1e-9)
    np.testing.assert_allclose(found @ found.T, np.eye(6), atol=1e-9)


@pytest.mark.parametrize("make", [random_pairs, rank_one, blocks])
@pytest.mark.parametrize("shape", [(40, 20), (20, 40)])
def test_equal_matrices_have_equal_vectors_of_at_most_their_rank(
    make: object, shape: tuple[int, int]
) -> None:
    matrix = scaled_pairs(sparse.csr_array(make(*shape)))  # type: ignore[operator]
    count = min(shape) - 1
    first = right_vectors(matrix, count)
    for _ in range(3):
        np.testing.assert_array_equal(right_vectors(matrix, count), first)
    assert len(first) == min(count, np.linalg.matrix_rank(matrix.toarray()))
    np.testing.assert_allclose(first @ first.T, np.eye(len(first)), atol=1e-6)


def test_nothing_has_no_vectors() -> None:
    assert right_vectors(sparse.csr_array((3, 4)), 2).shape == (0, 4)
    assert right_vectors(sparse.csr_array(np.ones((3, 4))), 0).shape == (0, 4)


def test_the_inverse_root_of_nothing_is_0() -> None:
    assert inverse_roots(np.array([0, 4])).tolist() == [0.0, 0.5]
