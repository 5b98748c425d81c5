"""What the page of a blend shows, as plain data; `blend_report` turns it into a page. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.evaluation.reports.content import ModelMetrics


@dataclass(frozen=True)
class Distribution:
    """Histograms of what a task adds, by content type, in the first seed.

    `before` is of the predictions and `after` of what the blend adds for them: for each type the
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
        date: as it is to be shown.
        blend: the blend as YAML.
        rows: that were ordered.
        users: how many lists these are.
        user: column whose values have a list each.
        k: how many places of a list count.
        utility: what is wanted of an order, as YAML, if it was declared.
        sentences: findings in words, the most telling first.
        orders: ours first, then what it is compared with; metrics are "utility", "ndcg.TASK",
            "total.TASK" (of the labels of the first k), "expected.TASK" (of their true
            probabilities), "gauc.TASK" and "share.TYPE".
        by: column of the content type, if there is one.
        shares: by the name of an order the columns `rank`, `type`, `rows` and `share`, as
            `blend.orders.share_by_rank` gives.
        distributions: one a task.
        front: a row a blend that was tried: a column `ndcg.TASK` a task, `front` (no other blend is
            better in one task and as good in all), `chosen`, `feasible` (keeps to all constraints),
            and `utility` if one was declared.
        notes: sentences about what was skipped, unseen or missing.

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
