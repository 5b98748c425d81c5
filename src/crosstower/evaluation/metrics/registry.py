"""Metrics by name: label, direction, and where each is shown. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.errors import RecipeError
from crosstower.recipe.registry import Registry
from crosstower.recipe.tasks import HeadKind
from crosstower.values.arrays import Indices

Floats = NDArray[np.floating[Any]]
Groups = pl.Series | NDArray[Any]

MetricKind = Literal["binary", "regression", "rating", "list", "catalogue"]
"""Input of a metric: predictions of a task, ranked lists, or the items shown."""

Place = Literal["report", "table", "card", "funnel", "curve"]
"""Report page, terminal, model card of a bundle, funnel evaluation, plot by epoch."""


@dataclass(frozen=True)
class LabelledPredictions:
    """The labelled rows of a task, the input of its metrics.

    >>> rows = LabelledPredictions(np.array([0, 1]), np.array([0.2, 0.7]), "binary")
    >>> rows.groups is None
    True

    Args:
        labels: `[B]`, finite; 0 or 1 for a binary task.
        predictions: `[B]` in the unit of the labels; probabilities for a binary task.
        kind: of the task.
        groups: `[B]` ids of `evaluation.group`, None without one or for a regression.
        weights: `[B]` sample weights of the task, None without them.

    """

    labels: Floats
    predictions: Floats
    kind: HeadKind
    groups: Groups | None = None
    weights: Floats | None = None


@dataclass(frozen=True)
class RankedLists:
    """The first k positions of each query's list, the input of list metrics.

    >>> lists = RankedLists(np.array([[False, True]]), np.array([1.0]))
    >>> lists.hits.shape
    (1, 2)

    Args:
        hits: `[Q, k]`, whether the item at that rank is relevant.
        relevant: `[Q]` relevant items of each query; NaN for a query without any, whose metric
            is to be NaN.

    """

    hits: NDArray[np.bool_]
    relevant: NDArray[np.float64]


@dataclass(frozen=True)
class ShownItems:
    """The items in the first k positions, the input of catalogue metrics.

    >>> ShownItems(np.array([[0, 1]]), np.array([9, 3, 1])).items.shape
    (1, 2)

    Args:
        items: `[Q, k]`, positions in the catalogue, -1 where a list is shorter.
        training_counts: `[N]` training rows of each item.

    """

    items: Indices
    training_counts: NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """A registered metric. `register_metric` documents its parts."""

    name: str
    compute: Callable[[Any], Any]
    _: KW_ONLY
    kinds: tuple[MetricKind, ...]
    title: str | None = None
    better: Literal["higher", "lower"] | None = None
    shown: tuple[Place, ...] = ("report", "table", "card", "funnel")
    grouped: bool = False
    weighted: bool = False

    @property
    def heading(self) -> str:
        """The title in tables."""
        return self.title or self.name


METRICS = Registry[Metric]("metric", package="crosstower.evaluation.metrics")

register_metric = METRICS.decorator(
    "register_metric",
    Metric,
    doc="""Return a decorator that registers a function as a metric.

    The metric appears in `metrics.json` and in the tables where it is `shown`, and may be
    `training.monitor`. A metric of tasks takes `LabelledPredictions` and returns a number. One of
    kind "list" takes `RankedLists` and returns one number per query `[Q]`; one of kind "catalogue"
    takes `ShownItems` and returns a number. NaN means undefined. `docs/extending.md` has examples.

    Args:
        name: in recipes and files.
        kinds: kinds of tasks that it applies to, "list" or "catalogue".
        title: in tables; the name if None.
        better: direction; None for a metric that cannot be monitored.
        shown: places where it is shown.
        grouped: whether it needs groups and is omitted without `evaluation.group`.
        weighted: whether it needs weights and is omitted without the task's `sample_weight`.

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def metrics_of(*kinds: MetricKind, shown: Place | None = None) -> tuple[Metric, ...]:
    """Return the metrics of some kinds, in their order, each once.

    Args:
        kinds: of the metrics.
        shown: keep only those shown at this place.

    """
    every = [METRICS.entries[name] for name in METRICS.names()]
    found = [m for kind in kinds for m in every if kind in m.kinds]
    return tuple(m for m in dict.fromkeys(found) if shown is None or shown in m.shown)


def names_of(*kinds: MetricKind, shown: Place | None = None) -> tuple[str, ...]:
    """Return the names of `metrics_of`."""
    return tuple(metric.name for metric in metrics_of(*kinds, shown=shown))


def monitored(kind: MetricKind) -> tuple[str, ...]:
    """Return the names of the metrics that early stopping can watch."""
    return tuple(metric.name for metric in metrics_of(kind) if metric.better is not None)


def direction_of(name: str) -> Literal["higher", "lower"] | None:
    """Return which way is better, for a name such as auc or ndcg@10; None if it is unknown."""
    metric = METRICS.find(name.partition("@")[0])
    return None if metric is None else metric.better


def title_of(name: str) -> str:
    """Return the title of a metric, for a name such as auc or recall@10; its name if unknown."""
    metric, at, k = name.partition("@")
    found = METRICS.find(metric)
    return f"{metric if found is None else found.heading}{at}{k}"


def number_of(metric: Metric, given: LabelledPredictions | ShownItems) -> float:
    """Return a metric that is one number.

    Raises:
        RecipeError: its function returns something else.

    """
    value = metric.compute(given)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise RecipeError(
            f"metric '{metric.name}': its function must return a number, got {value!r:.80}"
        ) from None


def numbers_of(metric: Metric, lists: RankedLists) -> NDArray[np.float64]:
    """Return a metric of each query `[Q]`.

    Raises:
        RecipeError: its function returns something else.

    """
    values = np.asarray(metric.compute(lists))
    if values.shape != lists.relevant.shape or values.dtype.kind not in "fiub":
        raise RecipeError(
            f"metric '{metric.name}': its function must return one number per query"
            f" [{len(lists.relevant)}], got {values.dtype} {list(values.shape)}"
        )
    return np.where(np.isnan(lists.relevant), np.nan, values.astype(np.float64))
