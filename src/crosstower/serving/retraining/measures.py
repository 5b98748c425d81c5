"""Comparison of two bundles on the same rows: one statistic per task and metric.

Shapes: B rows, 2 bundles (live, candidate).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from crosstower.data.reading import source_of
from crosstower.errors import DataError
from crosstower.evaluation.metrics.binary import log_losses
from crosstower.evaluation.metrics.ndcg import ndcg_per_group
from crosstower.evaluation.metrics.paired import (
    Statistic,
    auc_statistic,
    mean_statistic,
    ratio_statistic,
)
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION
from crosstower.recipe.tasks import HeadKind
from crosstower.serving.bundle.bundle import Bundle
from crosstower.serving.retraining.labels import REQUEST
from crosstower.serving.retraining.newest_rows import NewestRows
from crosstower.training.run import Run
from crosstower.values.arrays import Floats, Indices

_ROW = "crosstower gate row"


@dataclass(frozen=True)
class Measure:
    """A metric of both bundles.

    Args:
        name: task, or stage of the funnel.
        metric: name.
        statistic: value of each bundle `[2]` from draws per cluster.
        users: number of clusters with a value.
        higher: whether higher is better.
        relative: whether a loss counts as a share of the live bundle's value.

    """

    name: str
    metric: str
    statistic: Statistic
    users: int
    higher: bool = True
    relative: bool = False

    def gain(self, values: Floats) -> Floats:
        """Return the gain of the candidate `[...]` from values `[..., 2]`; above 0 is better."""
        live, candidate = values[..., 0], values[..., 1]
        gain = candidate - live if self.higher else live - candidate
        if not self.relative:
            return gain
        return np.divide(gain, live, out=np.zeros_like(gain), where=live != 0.0)


@dataclass(frozen=True)
class BundleMeasures:
    """Measures of two bundles on the same rows.

    Args:
        measures: comparisons.
        calibration: predictions over labels, by binary task.
        predictions: `[B, 2]`, by task.
        notes: comparisons that were not possible, in sentences.

    """

    measures: list[Measure] = field(default_factory=list[Measure])
    calibration: dict[str, Measure] = field(default_factory=dict[str, Measure])
    predictions: dict[str, Floats] = field(default_factory=dict[str, Floats])
    notes: list[str] = field(default_factory=list[str])


def ranking_measures(
    live: Bundle, candidate: Bundle, rows: NewestRows, *, k: int
) -> BundleMeasures:
    """Return comparisons of the rankers: per task, and of the order within each request.

    Raises:
        DataError: the candidate cannot score the rows.

    """
    found = BundleMeasures()
    if candidate.ranking is None or live.ranking is None:
        return found
    new = _scored(candidate, rows)
    try:
        old = _scored(live, rows)
    except DataError as error:
        found.notes.append(f"the live bundle cannot score these rows: {error}")
        return found
    kinds = _shared(live.ranking, candidate.ranking, found.notes)
    old, new = _aligned(old, new, found.notes)
    pair = _Pair((live, candidate), kinds, (old, new), rows)
    for task in kinds:
        pair.compare(task, found)
    if all(np.isfinite(p).all() for p in found.predictions.values()):
        pair.compare_lists(k, found)
    return found


@dataclass(frozen=True)
class _Pair:
    """Both bundles' scores of the same rows."""

    bundles: tuple[Bundle, Bundle]
    kinds: Mapping[str, HeadKind]
    frames: tuple[pl.DataFrame, pl.DataFrame]
    rows: NewestRows

    @property
    def places(self) -> Indices:
        """The rows that both bundles can read."""
        return self.frames[0][_ROW].to_numpy()

    def compare(self, task: str, found: BundleMeasures) -> None:
        """Add the comparisons of a task on its labelled rows."""
        labels = _numbers(self.frames[1][task])
        known = np.isfinite(labels)
        y, clusters = labels[known], self.rows.clusters[self.places][known]
        p = np.stack([_numbers(f[f"{task}{PREDICTION}"])[known] for f in self.frames], axis=1)
        found.predictions[task] = p
        if not len(y) or not np.isfinite(p).all():
            return
        if self.kinds[task] != "binary":
            errors = mean_statistic((p - y[:, None]) ** 2, clusters, root=True)
            found.measures.append(_lower(task, "rmse", errors, clusters))
            return
        loss = mean_statistic(log_losses(y[:, None], p), clusters)
        found.measures.append(_lower(task, "log_loss", loss, clusters))
        if 0.0 < y.mean() < 1.0:
            auc = auc_statistic(y, p, clusters)
            found.measures.append(Measure(task, "auc", auc, _count(clusters)))
            ratio, positive = ratio_statistic(p, np.stack([y, y], axis=1), clusters), y == 1
            found.calibration[task] = Measure(task, "ratio", ratio, _count(clusters[positive]))
        else:
            found.notes.append(f"task '{task}': all labels are {y[0]:g}, so it has no AUC here")

    def compare_lists(self, k: int, found: BundleMeasures) -> None:
        """Add the NDCG of the order within each request; gain is the number of positive labels."""
        binary = [task for task, kind in self.kinds.items() if kind == "binary"]
        if REQUEST not in self.rows.frame.columns or not binary:
            return
        requests = self.rows.frame[REQUEST].gather(self.frames[0][_ROW])
        positive = np.stack([_numbers(self.frames[1][task]) == 1 for task in binary])
        gain = positive.astype(np.float64).sum(axis=0)
        pairs = zip(self.bundles, self.frames, strict=True)
        lists = [ndcg_per_group(requests, _numbers(f[_order(b)]), gain, k) for b, f in pairs]
        if not lists[0].counted:
            found.notes.append("no list has a positive label, so orders are not compared")
            return
        clusters = pl.Series("cluster", self.rows.clusters[self.places])
        owners = pl.DataFrame([requests, clusters]).unique(REQUEST, keep="first")
        groups = lists[0].groups.rename(REQUEST).to_frame()
        mine = groups.join(owners, on=REQUEST, how="left", maintain_order="left")
        mine = mine["cluster"].to_numpy()
        values = np.stack([one.values for one in lists], axis=1)
        ndcg = mean_statistic(values, mine)
        found.measures.append(Measure("lists", f"ndcg@{k}", ndcg, _count(mine)))


def _shared(live: Run, candidate: Run, notes: list[str]) -> dict[str, HeadKind]:
    """Return the tasks that both bundles have, with their kinds."""
    old, new = live.recipe.schema_.kinds(), candidate.recipe.schema_.kinds()
    shared: dict[str, HeadKind] = {t: kind for t, kind in new.items() if old.get(t) == kind}
    notes += [
        f"task '{task}' is not compared: one bundle lacks it, or has another kind"
        for task in dict.fromkeys([*old, *new])
        if task not in shared
    ]
    return shared


def _scored(bundle: Bundle, rows: NewestRows) -> pl.DataFrame:
    """Return labels and predictions of the rows that can be read, and the blend's score."""
    ranker, frame = bundle.ranker, rows.frame.with_row_index(_ROW)
    data = ranker.run.recipe.data
    parts = ranker.score(source_of(data, frame), columns=[_ROW], with_labels=True)
    targets = pl.concat(list(parts))
    if ranker.blend is None or REQUEST not in frame.columns:
        return targets
    blended = pl.concat(list(ranker.score(source_of(data, frame), columns=[_ROW])))
    return targets.join(blended.select(_ROW, BLEND_SCORE), on=_ROW, maintain_order="left")


def _aligned(
    old: pl.DataFrame, new: pl.DataFrame, notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that both bundles can read, in their order."""
    both = old.select(_ROW).join(new.select(_ROW), on=_ROW, how="semi").sort(_ROW)
    for name, frame in (("live", new), ("new", old)):
        if missing := frame.height - both.height:
            notes.append(f"{missing:,} rows are left out, as the {name} bundle cannot read them")
    first, second = (both.join(f, on=_ROW, how="left", maintain_order="left") for f in (old, new))
    return first, second


def _lower(task: str, metric: str, statistic: Statistic, clusters: Indices) -> Measure:
    """Return a measure that is better if it is lower."""
    return Measure(task, metric, statistic, _count(clusters), higher=False, relative=True)


def _count(clusters: Indices) -> int:
    return len(np.unique(clusters))


def _order(bundle: Bundle) -> str:
    """Return the column that orders the lists of a bundle."""
    if bundle.ranker.blend is not None:
        return BLEND_SCORE
    return f"{next(iter(bundle.ranker.run.recipe.schema_.tasks))}{PREDICTION}"


def _numbers(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
