"""Report of an evaluated funnel: metrics, lift and losses of each stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.evaluation.metrics.bootstrap import bootstrap_difference, bootstrap_interval
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.evaluation.metrics.registry import names_of, title_of
from crosstower.evaluation.reports.notebook import html_table
from crosstower.funnel.source_figures import SourceFigures
from crosstower.funnel.stages import (
    ALL_ITEMS,
    BEST_ORDER,
    BLENDED,
    DIVERSIFIED,
    POPULAR,
    RANKED,
    RETRIEVED,
    RULED,
    WITHOUT,
    Pairs,
    Step,
)
from crosstower.values.arrays import Floats, Indices
from crosstower.values.json_values import json_values

Values = Mapping[str, Mapping[str, Floats]]

TRUE_VALUE = "true_value"
_ORDER = (POPULAR, RETRIEVED, RANKED, BLENDED, DIVERSIFIED, RULED)


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its 95 % bootstrap interval from `low` to `high`."""

    mean: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Stage:
    """The lists of a stage: metrics by name, such as ndcg@10, over `queries`."""

    name: str
    queries: int
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class Change:
    """A metric of the same queries before and after, and the paired difference."""

    before: float
    after: float
    difference: Estimate


@dataclass(frozen=True)
class Lift:
    """Changes of the metrics by `stage`, compared with the lists of the stage `over`."""

    stage: str
    over: str
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class FunnelReport:
    """An evaluated funnel, from `evaluate_funnel`.

    >>> import crosstower as ct
    >>> report = ct.evaluate_funnel(ct.Funnel.open("runs/items", "runs/clicks"), k=3)
    >>> list(report.stage("ranked").metrics)
    ['recall@3', 'ndcg@3', 'mrr@3', 'hit_rate@3']

    Args:
        retrieval: folder of the retrieval run.
        ranking: folder of the ranking run.
        source: of the rows.
        queries: number of queries.
        relevant: number of (query, item) pairs to find.
        items: size of the catalogue.
        candidates: number of items that the ranker scores per query.
        k: length of the lists.
        stages: metrics per stage.
        lifts: differences between stages.
        steps: relevant items lost and gained per stage.
        verdicts: findings as sentences.
        notes: remarks about the rows.
        sources: relevant items per source of candidates; none for only the retrieval model.

    """

    retrieval: str
    ranking: str
    source: str
    queries: int
    relevant: int
    items: int
    candidates: int
    k: int
    stages: tuple[Stage, ...]
    lifts: tuple[Lift, ...]
    steps: tuple[Step, ...]
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]
    sources: tuple[SourceFigures, ...] = ()

    def stage(self, name: str) -> Stage:
        """Return a stage by name."""
        return next(stage for stage in self.stages if stage.name == name)

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON; numbers that are not defined are None."""
        return json_values(asdict(self))

    def __repr__(self) -> str:
        """Return one line: queries, candidates and stages."""
        return (
            f"FunnelReport({self.queries:,} queries, {self.candidates:,} candidates of"
            f" {self.items:,} items; {', '.join(stage.name for stage in self.stages)})"
        )

    def _repr_html_(self) -> str:
        """Return the metrics per stage and the verdicts as a table, for notebooks."""
        title = (
            f"{self.queries:,} queries, {self.candidates:,} candidates of {self.items:,} items"
            " (± half of the 95 % confidence interval)"
        )
        names = list(dict.fromkeys(name for stage in self.stages for name in stage.metrics))
        rows = [
            [stage.name, *(_cell(stage.metrics.get(name)) for name in names)]
            for stage in self.stages
        ]
        notes = (*self.verdicts, *(f"Note: {note}." for note in self.notes))
        return html_table(title, ["stage", *map(title_of, names)], rows, notes=notes)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or math.isnan(estimate.mean):
        return "–"
    return f"{estimate.mean:.4f} ± {(estimate.high - estimate.low) / 2:.4f}"


def values_of(
    lists: Mapping[str, Indices],
    relevant: Pairs,
    k: int,
    *,
    covered: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, dict[str, Floats]]:
    """Return {stage: {"METRIC@k": `[Q]`}}, NaN for queries that a stage does not cover.

    Args:
        lists: `[Q, K]` by stage.
        relevant: (query, item) pairs, each once.
        k: how many places count.
        covered: `[Q]` True for the queries of a stage that ranked only some of them.

    """
    values: dict[str, dict[str, Floats]] = {}
    for name, shown in lists.items():
        found = list_metrics(shown, relevant, [k])
        mine = (covered or {}).get(name, np.ones(len(shown), dtype=bool))
        kept = {f"{m}@{k}": found[f"{m}@{k}"] for m in names_of("list", shown="funnel")}
        values[name] = {metric: np.where(mine, x, np.nan) for metric, x in kept.items()}
    return values


def stages_of(values: Values, *, seed: int = 0) -> tuple[Stage, ...]:
    """Return every stage's means over the queries that it covers, with their intervals."""
    return tuple(
        Stage(
            name,
            int(np.isfinite(next(iter(metrics.values()))).sum()),
            {metric: _mean(x, seed) for metric, x in metrics.items()},
        )
        for name, metrics in values.items()
    )


def lifts_of(values: Values, *, seed: int = 0) -> tuple[Lift, ...]:
    """Return the changes by each stage compared with the one before it, over the same queries.

    After these: what the ranker and the blend would show had they had all items, the best order
    of the candidates against the funnel's last stage, and the lists without each source.
    """
    order = [name for name in _ORDER if name in values]
    pairs = list(zip(order[1:], order[:-1], strict=True))
    pairs += [(f"{ALL_ITEMS}{name}", name) for name in (RANKED, BLENDED)]
    pairs.append((BEST_ORDER, order[-1]))
    ranked = [name for name in order if name != RULED]
    pairs += [(name, ranked[-1]) for name in values if name.startswith(WITHOUT)]
    return tuple(
        Lift(stage, over, _changes(values[stage], values[over], seed))
        for stage, over in pairs
        if stage in values and over in values
    )


def _changes(
    after: Mapping[str, Floats], before: Mapping[str, Floats], seed: int
) -> dict[str, Change]:
    changes: dict[str, Change] = {}
    for metric in [name for name in after if name in before]:
        values = after[metric]
        both = np.isfinite(values) & np.isfinite(before[metric])
        a, b = (_groups(x, both) for x in (values, before[metric]))
        low, high = bootstrap_difference(a, b, seed=seed)
        changes[metric] = Change(b.mean, a.mean, Estimate(a.mean - b.mean, low, high))
    return changes


def _groups(values: Floats, kept: NDArray[np.bool_]) -> GroupValues:
    queries = pl.Series("query", np.flatnonzero(kept))
    return GroupValues(queries, values[kept], int((~kept).sum()))


def _mean(values: Floats, seed: int) -> Estimate:
    known = values[np.isfinite(values)]
    low, high = bootstrap_interval(known, seed=seed)
    return Estimate(float(known.mean()) if len(known) else math.nan, low, high)
