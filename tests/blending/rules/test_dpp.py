from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.rules.dpp import dpp_order


def items(seed: int, count: int = 7, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, width)).astype(np.float32)
    return random.random(count), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kernel_of(relevance: np.ndarray, vectors: np.ndarray, theta: float) -> np.ndarray:
    """Section 6.2 of the paper: q_i·s_ij·q_j with q = exp(θ·r / (2·(1-θ)))."""
    quality = np.exp(theta * relevance / (2 * (1 - theta)))
    similar = (1 + vectors.astype(np.float64) @ vectors.astype(np.float64).T) / 2
    return np.diag(quality) @ similar @ np.diag(quality)


def log_det(kernel: np.ndarray, rows: list[int] | tuple[int, ...]) -> float:
    sign, value = np.linalg.slogdet(kernel[np.ix_(rows, rows)])
    return value if sign > 0 else -np.inf


@given(seed=st.integers(0, 9999), theta=st.floats(0, 0.95), top=st.integers(1, 5))
def test_each_step_raises_the_log_determinant_most(seed, theta, top):
    relevance, vectors = items(seed)
    kernel = kernel_of(relevance, vectors, theta)
    chosen: list[int] = []
    for row in dpp_order(relevance, vectors, theta=theta, top=top):
        left = [i for i in range(len(relevance)) if i not in chosen]
        best = max(log_det(kernel, [*chosen, i]) for i in left)
        assert log_det(kernel, [*chosen, int(row)]) == pytest.approx(best, abs=1e-6)
        chosen.append(int(row))
    assert len(chosen) == top


@given(seed=st.integers(0, 9999))
def test_the_list_is_near_the_best_subset_of_brute_force(seed):
    relevance, vectors = items(seed)
    kernel = kernel_of(relevance, vectors, 0.3)
    # Scaled so that all eigenvalues are at least 1: then log det is monotone and non-negative, and
    # greedy reaches 1 - 1/e of the maximum (Nemhauser, Wolsey & Fisher 1978). A common factor
    # changes no choice.
    kernel /= np.linalg.eigvalsh(kernel)[0]
    best = max(log_det(kernel, rows) for rows in combinations(range(len(relevance)), 3))
    rows = dpp_order(relevance, vectors, theta=0.3, top=3)
    assert log_det(kernel, rows.tolist()) >= (1 - 1 / np.e) * best


def test_relevance_near_1_keeps_the_order_of_score():
    _, vectors = items(1, 40, width=64)
    relevance = np.random.default_rng(0).permutation(40) / 39
    order = dpp_order(relevance, vectors, theta=0.999, top=10)
    np.testing.assert_array_equal(order, np.argsort(-relevance)[:10])


def test_items_that_repeat_those_above_begin_a_new_determinant():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    order = dpp_order(np.array([1.0, 0.9, 0.2, 0.1]), vectors, theta=0.5, top=4)
    assert order.tolist() == [0, 2, 1, 3]
    assert dpp_order(np.empty(0), np.empty((0, 2), np.float32), theta=0.5, top=3).size == 0
