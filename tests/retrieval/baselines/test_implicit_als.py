import numpy as np
import pytest
from scipy import sparse

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines import implicit_als
from crosstower.retrieval.baselines.implicit_als import ImplicitAls
from crosstower.retrieval.baselines.top_items import recommend

from .test_baseline import HISTORIES


def test_implicit_als_ranks_what_similar_users_had() -> None:
    pytest.importorskip("implicit", reason="the package implicit is not installed")
    two = np.kron(np.eye(2), np.ones((20, 6)))  # two groups of users, each with its six items
    random = np.random.default_rng(0)
    history = sparse.csr_array((two * (random.random(two.shape) < 0.6)).astype(np.float32))
    shown = recommend(ImplicitAls.fit(history, factors=4), history, 1)[:, 0]
    left = (two - history.toarray()).sum(1) > 0
    assert (two[np.arange(40), shown][left] == 1).mean() > 0.9


def test_without_implicit_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(implicit_als.importlib, "import_module", missing)
    with pytest.raises(RecipeError, match="pip install implicit"):
        ImplicitAls.fit(HISTORIES)
