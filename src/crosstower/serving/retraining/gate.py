"""The gate: whether a new bundle may replace the live one."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crosstower.errors import CrosstowerError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.retraining.decision import decide
from crosstower.serving.retraining.figures import GateMeasurements, Verdict
from crosstower.serving.retraining.limits import GateLimits
from crosstower.serving.retraining.measures import ranking_measures
from crosstower.serving.retraining.newest_rows import NewestRows, newest_rows
from crosstower.serving.retraining.recall import recall_measures
from crosstower.serving.retraining.smoke import check_requests


def judge(
    live: str | Path,
    candidate: str | Path,
    rows: pl.DataFrame,
    *,
    positives: pl.DataFrame | None = None,
    earlier: pl.DataFrame | None = None,
    limits: GateLimits | None = None,
    experiments: Experiments | None = None,
) -> Verdict:
    """Compare a new bundle with the live one on the newest rows.

    Both score the same rows: AUC and log loss of binary tasks, RMSE of others, NDCG of the order
    within each `request_id`, and recall of the retrievers. The rows must be new to both bundles.

    Args:
        live: bundle that is served.
        candidate: bundle to be judged.
        rows: newest raw rows, as the recipes read them, with labels; a column `request_id` makes
            lists of them.
        positives: newest raw rows that are positives of the retrievers; those of `rows` by
            `retrieval.where` if None.
        earlier: raw rows before them, for the histories of the retrievers' queries; positives only
            if `positives` is given.
        limits: of the gate; the defaults if None.
        experiments: of the server; the bundle must serve their arms.

    Raises:
        BundleError: the live bundle is damaged.

    """
    limits, old = limits or GateLimits(), Bundle.open(live)
    try:
        new = Bundle.open(candidate)
        some = newest_rows(rows, new, most=limits.max_rows, seed=limits.seed)
        if limits.smoke:
            check_requests(new.folder, some.frame, user=some.user, experiments=experiments)
        if few := _too_few(rows.height, some, limits):
            return Verdict((few,), figures=GateMeasurements(rows.height, some.count))
        parts = [
            ranking_measures(old, new, some, k=limits.k),
            recall_measures(old, new, some, positives=positives, earlier=earlier, k=limits.k),
        ]
    except CrosstowerError as error:
        return Verdict((f"the new bundle cannot be used: {error}",))
    return decide(parts, rows=some.frame.height, users=some.count, limits=limits)


def _too_few(rows: int, some: NewestRows, limits: GateLimits) -> str | None:
    """Return why there is too little to compare on, None if there is enough."""
    if rows < limits.min_rows:
        return (
            f"{rows:,} new rows are too few to compare on; gate.min_rows is {limits.min_rows:,}:"
            " wait for more events, or lower it"
        )
    if some.count < limits.min_users:
        return (
            f"the new rows have {some.count:,} users, too few to compare on; gate.min_users is"
            f" {limits.min_users:,}: wait for more events, or lower it"
        )
    return None
