"""ALS for implicit feedback, by the package `implicit`. Shapes: U users, N items."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.baseline import Histories, Scores


@dataclass(frozen=True)
class ImplicitAls:
    """Matrix factorisation by alternating least squares (Hu et al. 2008), by package implicit.

    `ImplicitAls.fit(histories, ...)` needs the package; `recommend` then takes it like any other
    baseline.

    >>> histories = sparse.csr_array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]], dtype=np.float32)
    >>> als = ImplicitAls.fit(histories, factors=2)
    >>> first = sparse.csr_array([[1, 0, 0, 0]], dtype=np.float32)  # a user of item 0 alone
    >>> als.scores(first).argsort()[0, -2:].tolist()
    [1, 0]

    Args:
        model: a fitted model of implicit.

    """

    model: Any

    @staticmethod
    def fit(
        histories: Histories, *, factors: int = 64, regularization: float = 0.05
    ) -> ImplicitAls:
        """Return a factorisation of histories `[U, N]`.

        Raises:
            RecipeError: the package is not installed.

        """
        try:
            als = importlib.import_module("implicit.als")
        except ImportError as error:
            raise RecipeError(
                "retrieval.baselines: implicit_als needs the package implicit; install it with:"
                " pip install implicit"
            ) from error
        with threadpool_limits(1, "blas"):  # it has threads of its own, and warns of others
            model = als.AlternatingLeastSquares(
                factors=factors, regularization=regularization, random_state=0
            )
            model.fit(sparse.csr_matrix(histories), show_progress=False)
        return ImplicitAls(model)

    def scores(self, histories: Histories) -> Scores:
        """Return item factors times user factors, solved for the histories `[Q, N]`."""
        rows = np.arange(histories.shape[0])
        users = self.model.recalculate_user(rows, sparse.csr_matrix(histories))
        return np.asarray(users @ self.model.item_factors.T, dtype=np.float32)
