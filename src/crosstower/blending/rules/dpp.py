"""Greedy MAP inference of a determinantal point process. Shapes: C candidates, D width.

Chen, Zhang & Zhou 2018, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
Recommendation Diversity", algorithm 1: each step adds the item that raises log det(L_Y) most, and a
Cholesky factor of L_Y grows by one row, in O(C·|Y|) per step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crosstower.blending.rules.attributes import Mask
from crosstower.values.arrays import Floats, Indices

_LEAST = 1e-8  # share of an item's own weight; below it, the item repeats those above


def dpp_order(
    relevance: Floats, vectors: NDArray[np.float32], *, theta: float, top: int
) -> Indices:
    """Return the rows that are chosen first, at most `top`.

    The kernel is q_i·s_ij·q_j with s = (1 + cosine) / 2 (section 6.2).
    A determinant of more than D + 1 items is 0. Where all others repeat the chosen ones, a new
    determinant begins with what is left.

    >>> vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    >>> dpp_order(np.array([1.0, 0.9, 0.0]), vectors, theta=0.5, top=3).tolist()
    [0, 2, 1]

    Args:
        relevance: `[C]` in [0, 1].
        vectors: `[C, D]` of unit length.
        theta: weight of relevance in [0, 1).
        top: number of items.

    """
    top = min(top, len(relevance))
    wide, quality = vectors.astype(np.float64), _quality(relevance, theta)
    left = np.ones(len(quality), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < top:
        chosen += _segment(wide, quality, left, top - len(chosen))
    return np.array(chosen, dtype=np.int64)


def _segment(wide: Floats, quality: Floats, left: Mask, most: int) -> list[int]:
    """Choose rows among those that are left, until all others repeat the chosen ones."""
    own = quality * quality  # diagonal of the kernel
    gain = np.where(left, own, -np.inf)  # d² of the paper
    factor = np.zeros((most, len(own)))  # c of the paper, a row per step
    chosen: list[int] = []
    for step in range(most):
        gain[gain <= _LEAST * own] = -np.inf
        best = int(np.argmax(gain))
        if np.isneginf(gain[best]):
            break
        chosen.append(best)
        row = quality[best] * (1.0 + wide @ wide[best]) / 2.0 * quality
        past = factor[:step, best] @ factor[:step]
        factor[step] = (row - past) / np.sqrt(gain[best])
        gain -= factor[step] ** 2
        gain[best], left[best] = -np.inf, False
    return chosen


def _quality(relevance: Floats, theta: float) -> Floats:
    """Return q = exp(s·(relevance - 1)) `[C]` with s = θ / (2·(1-θ)) (section 6.2)."""
    strength = min(theta / (2.0 * (1.0 - theta)), _MOST_STRENGTH)
    return np.exp(strength * (relevance - 1.0))  # a common factor changes no choice


_MOST_STRENGTH = 150.0
"""Above it, the square of the smallest quality would be too small for a float."""
