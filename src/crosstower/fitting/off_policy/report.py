"""The report of an off-policy evaluation: estimates, gains over the log, and verdicts. No torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from crosstower.evaluation.reports.notebook import html_table
from crosstower.fitting.off_policy.importance import Estimate
from crosstower.values.json_values import json_values

INFORMATIVE_ROWS = 10.0
"""Fewer effective rows with an unusual reward make a normal interval too narrow."""


@dataclass(frozen=True)
class PolicyFacts:
    """Arguments of an evaluation.

    Args:
        reward: task whose label is the reward.
        score: column that orders the actions.
        temperature: of the softmax policy; 0 takes the best action.
        clip: largest importance weight; None for no limit.
        action: column of the logged action.
        item_columns: columns that the action determines.
        actions: number of actions in the log.
        target: column of a given policy's probabilities.
        refits: number of bootstrap refits for the interval of the direct method.
        lists: number of lists whose places are the rows; 0 if rows are independent.

    """

    reward: str
    score: str
    temperature: float
    clip: float | None
    action: str
    item_columns: tuple[str, ...]
    actions: int
    target: str | None = None
    refits: int = 0
    lists: int = 0


@dataclass(frozen=True)
class Gain:
    """Value of a policy minus that of the log, paired by rows.

    Args:
        estimate: of the difference, in units of the reward per row.
        informative_rows: effective number of rows, by the policy's weights, whose reward differs
            from the median, such as clicks.
        estimator: name of the estimator.

    """

    estimate: Estimate
    informative_rows: float
    estimator: str


@dataclass(frozen=True)
class PolicyReport:
    """Estimated value of a run's policy, compared with the log and with uniform actions.

    >>> import crosstower as ct
    >>> report = ct.evaluate_policy(
    ...     "runs/clicks", action="film", propensity="propensity", data="july.parquet"
    ... )
    >>> report
    PolicyReport(click per row, 180 rows, 10 actions; logged, model, uniform)
    >>> report.gains["model"].estimator
    'doubly robust'

    Args:
        facts: arguments of the evaluation.
        rows: number of rows.
        policies: estimates by policy and estimator, in units of the reward per row. 'logged' has
            only its mean; 'model', 'uniform' and a given 'target' have those of `all_estimates`. A
            target with probabilities of logged actions only has none that needs a reward model.
        gains: differences of 'model' and 'target' from the log. With fewer than ten informative
            rows there is no verdict, as intervals would be too narrow.
        slots: per slot, the 'logged' mean and the values of 'model' and 'target'.
        warnings: omitted rows, and results not to rely on.

    """

    facts: PolicyFacts
    rows: int
    policies: dict[str, dict[str, Estimate]]
    gains: dict[str, Gain]
    slots: dict[str, dict[str, Estimate]]
    warnings: tuple[str, ...]

    def verdict(self, policy: str = "model") -> str:
        """Return one sentence: whether a policy is significantly better than the log."""
        gain, logged = self.gains[policy], self.policies["logged"]["logged"]
        name = "the model" if policy == "model" else f"the policy in '{self.facts.target}'"
        difference = gain.estimate.value
        low, high = gain.estimate.interval()
        interval = "no interval" if math.isnan(low) else f"95 % interval {low:+.4g} to {high:+.4g}"
        return (
            f"{self.facts.reward} per row: {logged.value + difference:.4g} with {name}"
            f" ({gain.estimator}), {logged.value:.4g} as logged. The difference of"
            f" {difference:+.4g} ({interval}) {_judgement(gain)}."
        )

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON, with 95 % intervals; None means unknown."""
        return {
            **asdict(self.facts),
            "rows": self.rows,
            "policies": {name: _plain(found) for name, found in self.policies.items()},
            "gains": {name: _plain_gain(gain) for name, gain in self.gains.items()},
            "slots": {name: _plain(found) for name, found in self.slots.items()},
            "verdicts": {name: self.verdict(name) for name in self.gains},
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        """Return one line: the reward, the numbers of rows and actions, and the policies."""
        return (
            f"PolicyReport({self.facts.reward} per row, {self.rows:,} rows,"
            f" {self.facts.actions:,} actions; {', '.join(self.policies)})"
        )

    def _repr_html_(self) -> str:
        """Return the estimates per policy and the verdicts as a table, for notebooks."""
        title = (
            f"{self.facts.reward} per row: {self.rows:,} rows, {self.facts.actions:,} actions"
            " (95 % interval)"
        )
        rows = [
            [policy if place == 0 else "", name, f"{estimate.value:.4g}", _interval(estimate)]
            for policy, found in self.policies.items()
            for place, (name, estimate) in enumerate(found.items())
        ]
        notes = [self.verdict(name) for name in self.gains]
        notes += [f"Warning: {words}" for words in self.warnings]
        return html_table(title, ["policy", "estimator", "value", "interval"], rows, notes=notes)


def _judgement(gain: Gain) -> str:
    """Return the end of a verdict."""
    low, high = gain.estimate.interval()
    if gain.informative_rows < INFORMATIVE_ROWS:
        return (
            "rests on too few rows for a verdict: the effective number of those with a reward other"
            f" than the median is {gain.informative_rows:.0f}"
        )
    if low <= 0.0 <= high:
        return "is not significant"
    return f"is significant: the policy is {'better' if low > 0.0 else 'worse'} than the log"


def _interval(estimate: Estimate) -> str:
    low, high = estimate.interval()
    return "–" if math.isnan(low) else f"{low:.4g} to {high:.4g}"


def _plain_gain(gain: Gain) -> dict[str, Any]:
    return {
        **_plain_estimate(gain.estimate),
        "informative_rows": gain.informative_rows,
        "estimator": gain.estimator,
    }


def _plain(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: _plain_estimate(estimate) for name, estimate in found.items()}


def _plain_estimate(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval()
    plain = asdict(estimate) | {"low": low, "high": high}
    if plain["parameter"] == math.inf:
        plain["parameter"] = "inf"  # JSON has no number for it
    return json_values(plain)
