"""Tests of the difference of two models on the same rows, queries or users. No torch.

Each test gives the difference of the means over seeds with a 95 % interval and a p-value for one
training run of each model. Both include the sampling error of the test rows and the spread over
seeds, as in `difference`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crosstower.evaluation.metrics.bootstrap import bootstrap_difference
from crosstower.evaluation.metrics.group_order import GroupValues
from crosstower.evaluation.metrics.registry import direction_of
from crosstower.evaluation.metrics.summary import Summary, difference
from crosstower.evaluation.metrics.uncertainty import auc_difference_error, rmse_difference_error
from crosstower.values.arrays import Floats

_Z = 1.959964  # quantile of the 95 % interval


@dataclass(frozen=True)
class PairedTest:
    """The difference of a metric between two models, model minus reference.

    Args:
        metric: name.
        method: DeLong, paired rows, or bootstrap over groups.
        value: the difference, in the unit of the metric.
        low: lower end of the 95 % interval.
        high: upper end.
        p: two-sided p-value; NaN where it is not defined.
        adjusted: p-value by Holm over all models that are compared with the same reference.

    """

    metric: str
    method: str
    value: float
    low: float
    high: float
    p: float
    adjusted: float = math.nan

    @property
    def verdict(self) -> str:
        """better, worse, or not significant, by the adjusted p-value at 5 %."""
        p = self.p if math.isnan(self.adjusted) else self.adjusted
        if math.isnan(p) or p >= 0.05:
            return "not significant"
        higher = direction_of(self.metric) == "higher"
        return "better" if (self.value > 0) == higher else "worse"


def auc_test(y: Floats, a: Floats, b: Floats, model: Summary, reference: Summary) -> PairedTest:
    """Return DeLong's test of AUC (DeLong et al. 1988).

    Args:
        y: labels `[B]`, 0 or 1.
        a: scores `[B]` of the model, of one seed.
        b: scores `[B]` of the reference, of one seed.
        model: AUC over seeds.
        reference: AUC over seeds.

    """
    return _normal("auc", "DeLong", model, reference, auc_difference_error(y, a, b))


def rmse_test(y: Floats, a: Floats, b: Floats, model: Summary, reference: Summary) -> PairedTest:
    """Return the test of RMSE by the paired squared errors; arguments as of `auc_test`."""
    return _normal("rmse", "paired rows", model, reference, rmse_difference_error(y, a, b))


def row_test(metric: str, a: Floats, b: Floats, model: Summary, reference: Summary) -> PairedTest:
    """Return the test of a metric that is a mean over rows, by the paired t statistic.

    Args:
        metric: name.
        a: values `[B]` of the model's rows, such as log losses, of one seed.
        b: values `[B]` of the reference's rows.
        model: metric over seeds.
        reference: metric over seeds.

    """
    error = float(np.std(a - b, ddof=1)) / math.sqrt(len(a)) if len(a) > 1 else math.nan
    return _normal(metric, "paired rows", model, reference, error)


def group_test(
    metric: str,
    a: Sequence[GroupValues],
    b: Sequence[GroupValues],
    *,
    over: str,
    repeats: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Return the test of a metric that is a mean over groups, by the bootstrap over them.

    Args:
        metric: name.
        a: values per group of the model, one per seed.
        b: values of the reference, of the same groups.
        over: the unit of the groups, such as "users".
        repeats: number of resamples.
        seed: of the resampling.

    Raises:
        DataError: the groups differ.

    """
    model, reference = (Summary.of([v.mean for v in values]) for values in (a, b))
    low, high = bootstrap_difference(_mean(a), _mean(b), repeats=repeats, seed=seed)
    value = model.mean - reference.mean
    seeds = _Z * math.hypot(model.sd or 0.0, reference.sd or 0.0)
    low = value - math.hypot(value - low, seeds)
    high = value + math.hypot(high - value, seeds)
    noise = (high - low) / (2.0 * _Z)
    method = f"bootstrap over {over}"
    return PairedTest(metric, method, value, low, high, p_value(value, noise))


def p_value(value: float, noise: float) -> float:
    """Return the two-sided p-value of a normal difference; 1 if there is none at all.

    >>> round(p_value(1.96, 1.0), 3), p_value(0.0, 0.0)
    (0.05, 1.0)
    """
    if value == 0.0:
        return 1.0
    if math.isnan(value) or math.isnan(noise):
        return math.nan
    return math.erfc(abs(value) / noise / math.sqrt(2.0)) if noise > 0.0 else 0.0


def holm(tests: Sequence[PairedTest]) -> list[PairedTest]:
    """Return tests with p-values adjusted by Holm 1979, "A Simple Sequentially Rejective Test".

    Args:
        tests: of one metric; those without a p-value do not count.

    """
    known = [i for i, test in enumerate(tests) if not math.isnan(test.p)]
    found, highest = list(tests), 0.0
    for place, i in enumerate(sorted(known, key=lambda i: tests[i].p)):
        highest = max(highest, min(1.0, (len(known) - place) * tests[i].p))
        found[i] = replace(tests[i], adjusted=highest)
    return found


def _normal(
    metric: str, method: str, model: Summary, reference: Summary, error: float
) -> PairedTest:
    found = difference(metric, model, reference, sampling_error=error)
    half = _Z * found.noise
    return PairedTest(
        metric,
        method,
        found.value,
        found.value - half,
        found.value + half,
        p_value(found.value, found.noise),
    )


def _mean(seeds: Sequence[GroupValues]) -> GroupValues:
    """Return the means over seeds of values of the same groups."""
    values = np.mean([one.values for one in seeds], axis=0)
    return replace(seeds[0], values=values)
