"""Mean and spread of metrics over seeds, and the difference of two models. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosstower.errors import RunError
from crosstower.evaluation.metrics.registry import direction_of


@dataclass(frozen=True)
class Summary:
    """A metric over seeds: mean and sample standard deviation (ddof 1; None with one seed).

    >>> str(Summary.of([0.64, 0.66]))
    '0.6500 ± 0.0141'

    Args:
        mean: over seeds.
        sd: over seeds.
        seeds: number of seeds.

    """

    mean: float
    sd: float | None = None
    seeds: int = 1

    @staticmethod
    def of(values: Sequence[float]) -> Summary:
        """Return the summary of one value per seed; a value that is not finite makes it NaN.

        Raises:
            RunError: there is no value.

        """
        if not values:
            raise RunError("a summary needs the metrics of at least one seed, got none")
        if not all(math.isfinite(value) for value in values):
            return Summary(math.nan, None, len(values))
        # `statistics` computes exactly: equal values have deviation 0, not a rounding error.
        sd = statistics.stdev(values) if len(values) > 1 else None
        return Summary(statistics.mean(values), sd, len(values))

    def __str__(self) -> str:
        """Return 'mean ± sd' with four decimals, or only the mean with one seed."""
        return f"{self.mean:.4f}" if self.sd is None else f"{self.mean:.4f} ± {self.sd:.4f}"


def summarise(
    results: Sequence[Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, Summary]]:
    """Return {task: {metric: Summary}} from one {task: {metric: value}} per seed.

    >>> found = summarise([{"click": {"auc": 0.64}}, {"click": {"auc": 0.66}}])
    >>> str(found["click"]["auc"])
    '0.6500 ± 0.0141'

    Args:
        results: metrics of each seed.

    Raises:
        RunError: there is no seed, or a seed has other tasks or metrics than the first.

    """
    if not results:
        raise RunError("a summary needs the metrics of at least one seed, got none")
    names = [sorted((task, m) for task, ms in result.items() for m in ms) for result in results]
    for seed, given in enumerate(names):
        if given != names[0]:
            other = sorted(set(given) ^ set(names[0]))
            raise RunError(
                f"seed {seed + 1} of {len(results)} has other metrics than the first:"
                f" {', '.join('.'.join(pair) for pair in other)}; evaluate all seeds alike"
            )
    return {
        task: {m: Summary.of([result[task][m] for result in results]) for m in metrics}
        for task, metrics in results[0].items()
    }


@dataclass(frozen=True)
class Difference:
    """A model's metric minus a baseline's.

    >>> Difference("auc", value=0.02, noise=0.005).is_real
    True

    Args:
        metric: name.
        value: the difference, in the unit of the metric.
        noise: standard deviation of `value` for one run of each model, due to seeds and to the
            finite test set.

    """

    metric: str
    value: float
    noise: float

    @property
    def gain(self) -> float:
        """The difference with the sign that makes better positive."""
        return self.value if direction_of(self.metric) == "higher" else -self.value

    @property
    def sds(self) -> float:
        """The gain in units of its noise; NaN if both are 0."""
        if self.noise > 0.0:
            return self.gain / self.noise
        return math.copysign(math.inf, self.gain) if self.gain else math.nan

    @property
    def is_real(self) -> bool:
        """Whether the difference is beyond two standard deviations of chance."""
        return abs(self.value) > 2.0 * self.noise


def difference(
    metric: str, model: Summary, baseline: Summary, *, sampling_error: float
) -> Difference:
    """Return model minus baseline with its noise: hypot(sd, sd, `sampling_error`).

    >>> found = difference("auc", Summary(0.66, 0.003), Summary(0.64, 0.004), sampling_error=0.0)
    >>> round(found.noise, 4)
    0.005

    Args:
        metric: name.
        model: over seeds.
        baseline: over seeds.
        sampling_error: standard error of the difference over test rows, from
            `auc_difference_error` or `rmse_difference_error`.

    """
    noise = math.hypot(model.sd or 0.0, baseline.sd or 0.0, sampling_error)
    return Difference(metric, model.mean - baseline.mean, noise)
