"""The content of the page about a blend, as plain data; `blend_report` renders it. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.evaluation.reports.content import ModelMetrics


@dataclass(frozen=True)
class Distribution:
    """Histograms of a task's part of the score, by content type, for the first seed.

    `before` counts the predictions and `after` the parts that the blend makes of them: per type the
    rows in each bin `[bins]`, whose bounds are `before_edges` and `after_edges` `[bins + 1]`.
    """

    task: str
    before: Mapping[str, NDArray[np.float64]]
    before_edges: NDArray[np.float64]
    after: Mapping[str, NDArray[np.float64]]
    after_edges: NDArray[np.float64]


@dataclass(frozen=True)
class BlendContent:
    """A whole page about a blend.

    Args:
        title: of the page.
        date: as shown.
        blend: the blend as YAML.
        rows: number of rows.
        users: number of lists.
        user: column with one list per value.
        k: number of places of a list that count.
        utility: of an order, as YAML, if declared.
        sentences: findings, the most important first.
        orders: ours first, then those it is compared with; metrics are "utility", "ndcg.TASK",
            "total.TASK" (of the labels of the first k), "expected.TASK" (of their true
            probabilities), "gauc.TASK" and "share.TYPE".
        by: column of the content type, if there is one.
        shares: by the name of an order the columns `rank`, `type`, `rows` and `share`, as
            `blend.orders.share_by_rank` gives.
        distributions: one per task.
        front: a row per blend that was tried, with a column `ndcg.TASK` per task, `front` (no
            other blend is better in one task and as good in all), `chosen`, `feasible` (keeps to
            all constraints), and `utility` if one was declared.
        notes: sentences about skipped, unseen or missing values.

    """

    title: str
    date: str
    blend: str
    rows: int
    users: int
    user: str
    k: int
    utility: str | None
    sentences: tuple[str, ...]
    orders: tuple[ModelMetrics, ...]
    by: str | None
    shares: Mapping[str, pl.DataFrame]
    distributions: tuple[Distribution, ...]
    front: pl.DataFrame | None
    notes: tuple[str, ...]
