"""BSPM: blurring and sharpening of a history, without training (Choi et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.baseline import Histories, Scores
from crosstower.retrieval.baselines.graph_filter import GraphFilter

_ORDER = 4


@dataclass(frozen=True)
class Bspm:
    """Blurring-sharpening process: the filters of GF-CF, followed by their reverse for a time T.

    Blurring is `GraphFilter`: B = x P + alpha·x D^-½ V Vᵀ D^½ with P = R̃ᵀR̃. Sharpening solves
    dS/dt = -S P from S(0) = B to t = T, and S(T) are the scores (Choi et al., SIGIR 2023, arXiv
    2211.09324, early merge). As in their code, it is one step of the classical Runge-Kutta method,
    which is S(T) = Σ_k B (-T P)^k / k! for k from 0 to 4, as the equation is linear.

    Each of the four products passes over all training pairs per query, so scoring takes several
    times as long as with GF-CF.

    >>> import numpy as np
    >>> from crosstower.retrieval import histories_of, recommend
    >>> users, items = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0])
    >>> histories = histories_of(users, items, shape=(3, 3))
    >>> recommend(Bspm.fit(histories), histories[[2]], k=1).tolist()
    [[1]]

    Args:
        blur: the filters of the training pairs.
        sharpening: T.

    """

    blur: GraphFilter
    sharpening: float

    @staticmethod
    def fit(
        histories: Histories, *, sharpening: float = 1.0, alpha: float = 0.3, width: int = 256
    ) -> Bspm:
        """Return the process on the graph of histories.

        Args:
            histories: `[U, N]`.
            sharpening: T, 0 or more; without sharpening this is GF-CF.
            alpha: weight of the ideal low-pass filter, 0 or more.
            width: number of singular vectors of that filter.

        Raises:
            RecipeError: `sharpening` or `alpha` is negative, or `width` below 1.

        """
        if sharpening < 0:
            raise RecipeError(f"bspm: expected sharpening of at least 0, got {sharpening:g}")
        return Bspm(GraphFilter.fit(histories, alpha=alpha, width=width), sharpening)

    def scores(self, histories: Histories) -> Scores:
        """Return the blurred and sharpened histories `[Q, N]`."""
        scores = term = self.blur.scores(histories)
        for k in range(1, _ORDER + 1 if self.sharpening else 1):
            term = ((term @ self.blur.pairs.T) @ self.blur.pairs) * (-self.sharpening / k)
            scores = scores + term
        return scores
