"""Models of the benchmark `ids_only`: how each is fitted, and the space of its settings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks import lightgcn
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.retrieval.baselines.bspm import Bspm
from crosstower.retrieval.baselines.ease import Ease
from crosstower.retrieval.baselines.graph_filter import GraphFilter
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.baselines.popularity import Popularity
from crosstower.retrieval.baselines.top_items import best_items

K = 20
WIDTHS = (64, 128, 256)
Settings = dict[str, Any]
Score = Callable[[slice], NDArray[np.float32]]


@dataclass(frozen=True)
class Table:
    """0/1 matrices `[U, N]` of a data set, and its folder."""

    name: str
    folder: Path
    train: sparse.csr_array
    valid: sparse.csr_array
    test: sparse.csr_array


@dataclass(frozen=True)
class Fitted:
    """Scores of a block of users, and what a later fit needs to know."""

    score: Score
    found: Settings


def metrics(score: Score, seen: sparse.csr_array, relevant: sparse.csr_array) -> dict[str, float]:
    """Return the mean recall and NDCG at 20 of the users with a relevant item."""
    lists = best_items(score, rows=seen.shape[0], k=K, seen=seen.nonzero())
    found = list_metrics(lists, relevant.nonzero(), [K])
    return {name: float(np.nanmean(found[f"{name}@{K}"])) for name in ("recall", "ndcg")}


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return float(f"{np.exp(random.uniform(np.log(low), np.log(high))):.3g}")


def pick(random: np.random.Generator, values: Iterable[Any]) -> Any:
    return random.choice(list(values)).item()


def of_histories(model: Any, histories: sparse.csr_array) -> Fitted:
    return Fitted(lambda rows: model.scores(histories[rows]), {})


def of_vectors(users: NDArray[np.float32], items: NDArray[np.float32], **found: Any) -> Fitted:
    return Fitted(lambda rows: users[rows] @ items.T, found)


@dataclass(frozen=True)
class Peer:
    """A model: `fit(pairs, settings, trial)` of settings that `draw` draws; `seeds` change it."""

    name: str
    fit: Callable[[sparse.csr_array, Settings, "Trial"], Fitted]
    draw: Callable[[np.random.Generator], Settings] | None = None
    seeds: bool = False


@dataclass(frozen=True)
class Trial:
    """Seed of a fit, and the figure of merit of scores for early stopping; None without it."""

    seed: int
    validate: Callable[[Score], float] | None = None


def baseline(kind: Any) -> Callable[[sparse.csr_array, Settings, Trial], Fitted]:
    def fit(pairs: sparse.csr_array, settings: Settings, trial: Trial) -> Fitted:
        del trial  # it is deterministic
        return of_histories(kind.fit(pairs, **settings), pairs)

    return fit


def implicit_fit(model: Any, pairs: sparse.csr_array) -> Fitted:
    with threadpool_limits(1, "blas"):  # it has threads of its own
        model.fit(sparse.csr_matrix(pairs), show_progress=False)
    return of_vectors(np.asarray(model.user_factors), np.asarray(model.item_factors))


def als(pairs: sparse.csr_array, settings: Settings, trial: Trial) -> Fitted:
    return implicit_fit(AlternatingLeastSquares(random_state=trial.seed, **settings), pairs)


def bpr(pairs: sparse.csr_array, settings: Settings, trial: Trial) -> Fitted:
    # Only one thread repeats a result.
    model = BayesianPersonalizedRanking(random_state=trial.seed, num_threads=1, **settings)
    return implicit_fit(model, pairs)


def light_gcn(pairs: sparse.csr_array, settings: Settings, trial: Trial) -> Fitted:
    validate, given = trial.validate, lightgcn.Settings(**settings)
    merit = None if validate is None else lambda *both: validate(of_vectors(*both).score)
    users, items, epochs = lightgcn.fit(pairs, given, seed=trial.seed, validate=merit)
    return of_vectors(users, items, epochs=epochs)


PEERS = (
    Peer("popularity", baseline(Popularity)),
    Peer(
        "item-kNN",
        baseline(ItemKnn),
        lambda random: {
            "neighbours": pick(random, (50, 100, 200, 400)),
            "shrink": log_uniform(random, 0.5, 200),
        },
    ),
    Peer("EASE^R", baseline(Ease), lambda random: {"l2": log_uniform(random, 10, 3000)}),
    Peer(
        "graph filter (GF-CF)",
        baseline(GraphFilter),
        lambda random: {
            "alpha": log_uniform(random, 0.005, 1.0),
            "width": pick(random, (64, 128, 256, 512)),
        },
    ),
    Peer(
        "BSPM",
        baseline(Bspm),
        lambda random: {
            "sharpening": log_uniform(random, 0.1, 3.0),
            "alpha": log_uniform(random, 0.005, 1.0),
            "width": pick(random, (64, 128, 256, 512)),
        },
    ),
    Peer(
        "ALS (implicit)",
        als,
        lambda random: {
            "factors": pick(random, WIDTHS),
            "regularization": log_uniform(random, 0.01, 100),
            "alpha": log_uniform(random, 1, 30),
            "iterations": pick(random, (10, 15, 25)),
        },
        seeds=True,
    ),
    Peer(
        "BPR (implicit)",
        bpr,
        lambda random: {
            "factors": pick(random, WIDTHS),
            "learning_rate": log_uniform(random, 0.005, 0.2),
            "regularization": log_uniform(random, 0.001, 0.1),
            "iterations": pick(random, (50, 100, 200, 400)),
        },
        seeds=True,
    ),
    Peer(
        "LightGCN (PyTorch)",
        light_gcn,
        lambda random: {
            "layers": pick(random, (1, 2, 3, 4)),
            "width": pick(random, WIDTHS),
            "rate": log_uniform(random, 1e-3, 2e-2),
            "l2": log_uniform(random, 1e-6, 1e-2),
            "batch": pick(random, (2048, 8192)),
        },
        seeds=True,
    ),
)
