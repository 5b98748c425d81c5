"""Estimates of a policy that was not run, compared with the logged one, and verdicts. No torch.

Decisions are rows of a frame with `reward`, `propensity` and `predicted` (the reward model's value
of the logged action), for each policy `POLICY:target` (its chance of the logged action) and
`POLICY:expected` (the reward model's mean over its actions), and `slot` where places are told
apart. Policies are those of `POLICIES`; a given target policy whose chances of other actions are
not known has no `target:expected`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.evaluation.reports.notebook import html_table
from crosstower.experiments.off_policy.estimators import all_estimates, doubly_robust, on_policy
from crosstower.experiments.off_policy.importance import Estimate

POLICIES = ("model", "uniform", "target")
"""What is evaluated: the run's own order, any action with the same chance, and a given policy."""

_FEW = 0.01
_SURE = 4.0
_BIASED = 3.0
_SLACK = 0.01  # propensities are often stored with a few digits
_FAR = 0.1
_TELLING = 10.0  # fewer events make a normal interval too narrow


@dataclass(frozen=True)
class PolicyFacts:
    """What was asked. `score` is the column that orders the actions, `clip` limits weights.

    `target` is the column of a given policy's chances, `refits` how often the run was trained
    again for the error of the direct method.
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


@dataclass(frozen=True)
class Gain:
    """What a policy earns more than the log, paired by rows.

    `telling_rows` is the effective number of rows, by the policy's weights, whose reward is not
    the usual one (the median), such as clicks. `how` names the estimator.
    """

    estimate: Estimate
    telling_rows: float
    how: str


@dataclass(frozen=True)
class PolicyReport:
    """Estimated value of a run's policy, compared with the log and with uniform actions.

    Args:
        facts: arguments of the evaluation.
        rows: number of rows.
        policies: estimates by policy and estimator, in units of the reward per row. 'logged' has
            only its mean; 'model', 'uniform' and a given 'target' have those of `all_estimates`. A
            target with probabilities of logged actions only has none that needs a reward model.
        gains: differences of 'model' and 'target' from the log. With fewer than ten telling rows
            there is no verdict, as intervals would be too narrow.
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
        """Return a sentence: is a policy better than the logged one, beyond the noise."""
        gain, logged = self.gains[policy], self.policies["logged"]["logged"]
        low, high = gain.estimate.interval()
        if gain.telling_rows < _TELLING:
            told = f"{gain.telling_rows:.0f} effective rows"
            words = f"rests on {told} with a reward other than the median: too few"
        elif low <= 0.0 <= high:
            words = "is within the noise, these rows cannot tell"
        else:
            words = f"is {'better' if low > 0.0 else 'worse'} beyond the noise"
        whose = "the model's order" if policy == "model" else f"the policy of '{self.facts.target}'"
        value = logged.value + gain.estimate.value
        noise = "no interval" if math.isnan(low) else f"95 % interval {low:+.4g} to {high:+.4g}"
        return (
            f"{self.facts.reward} a row: {value:.4g} by {whose} ({gain.how}),"
            f" {logged.value:.4g} as logged; {gain.estimate.value:+.4g}"
            f" ({noise}) {words}."
        )

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON; intervals are those of 95 %, None is not known."""
        return {
            **asdict(self.facts),
            "rows": self.rows,
            "policies": {name: _plain(found) for name, found in self.policies.items()},
            "gains": {name: _plain_gain(gain) for name, gain in self.gains.items()},
            "slots": {name: _plain(found) for name, found in self.slots.items()},
            "verdicts": {name: self.verdict(name) for name in self.gains},
            "warnings": list(self.warnings),
        }

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


def _interval(estimate: Estimate) -> str:
    low, high = estimate.interval()
    return "–" if math.isnan(low) else f"{low:.4g} to {high:.4g}"


def policy_report(
    rows: pl.DataFrame,
    facts: PolicyFacts,
    refits: Mapping[str, NDArray[Any]] | None = None,
) -> PolicyReport:
    """Return the report of decisions, which the module describes.

    Args:
        rows: `[B]` decisions.
        facts: what was asked.
        refits: `[M, B]` by policy, as `direct_method` takes them.

    Raises:
        DataError: there are no rows, a number is out of its range, or a policy takes none of the
            logged actions.

    """
    names = [name for name in POLICIES if f"{name}:target" in rows.columns]
    for name in names:
        if not _overlaps(rows, name):
            raise DataError(_NO_OVERLAP[name].format(rows=f"{rows.height:,}"))
    known = refits or {}
    found = {name: _estimates(rows, name, facts.clip, known.get(name)) for name in names}
    warnings = [words for name in names for words in _warnings(rows, name, found[name])]
    judged = [name for name in names if name != "uniform"]
    slots, alone = _slots(rows, judged, facts.clip)
    return PolicyReport(
        facts=facts,
        rows=rows.height,
        policies={"logged": {"logged": on_policy(rows["reward"])}, **found},
        gains={name: _gain(rows, name, facts.clip) for name in judged},
        slots=slots,
        warnings=(*warnings, *_model_warnings(rows, judged), *alone),
    )


_NO_OVERLAP = {
    "model": "the model's order takes none of the {rows} logged actions, so the rows say nothing of"
    " its value; give more rows, or a temperature above 0",
    "uniform": "no row has an action; give more rows",
    "target": "the target policy takes none of the {rows} logged actions, so the rows say nothing"
    " of its value; check its column, or evaluate a policy that the log overlaps with",
}


def _estimates(
    rows: pl.DataFrame, policy: str, clip: float | None, refits: NDArray[Any] | None
) -> dict[str, Estimate]:
    modelled: dict[str, Any] = {}
    if f"{policy}:expected" in rows.columns:
        expected = rows[f"{policy}:expected"]
        modelled = {"predicted": rows["predicted"], "predicted_target": expected, "refits": refits}
    found = all_estimates(
        rows["reward"], rows["propensity"], rows[f"{policy}:target"], clip=clip, **modelled
    )
    del found["logged"]
    return found


def _value(
    rows: pl.DataFrame, policy: str, clip: float | None, *, less: pl.Series | float = 0.0
) -> Estimate:
    """Return a policy's value, `less` what is taken from it row by row.

    It is doubly robust where the reward model's mean over the policy is known, else by inverse
    propensity alone.
    """
    nothing = pl.zeros(rows.height, pl.Float64, eager=True)
    known = f"{policy}:expected" in rows.columns
    return doubly_robust(
        rows["reward"],
        rows["propensity"],
        rows[f"{policy}:target"],
        rows["predicted"] if known else nothing,
        (rows[f"{policy}:expected"] if known else nothing) - less,
        clip=clip,
    )


def _gain(rows: pl.DataFrame, policy: str, clip: float | None) -> Gain:
    how = "doubly robust" if f"{policy}:expected" in rows.columns else "inverse propensity"
    estimate = _value(rows, policy, clip, less=rows["reward"])
    return Gain(estimate, _telling_rows(rows, policy), how)


def _overlaps(rows: pl.DataFrame, policy: str) -> bool:
    return bool((rows[f"{policy}:target"] > 0.0).any())


def _slots(
    rows: pl.DataFrame, policies: Sequence[str], clip: float | None
) -> tuple[dict[str, dict[str, Estimate]], list[str]]:
    """Return the estimates of each slot on its own, and warnings of those that have none."""
    found, warnings = dict[str, dict[str, Estimate]](), list[str]()
    if "slot" not in rows.columns:
        return found, warnings
    for part in rows.partition_by("slot", maintain_order=True):
        slot = str(part["slot"][0])
        values = {name: _value(part, name, clip) for name in policies if _overlaps(part, name)}
        if values:
            found[slot] = {"logged": on_policy(part["reward"]), **values}
        whose = {"model": "the model's order", "target": "the target policy"}
        warnings += [
            f"slot {slot}: {whose[name]} takes none of its logged actions."
            for name in policies
            if name not in values
        ]
    return dict(sorted(found.items())), warnings


def _telling_rows(rows: pl.DataFrame, policy: str) -> float:
    """Return (Σw)² / Σw² of the rows whose reward is not the median."""
    told = rows.filter(pl.col("reward") != pl.col("reward").median())
    weights = (told[f"{policy}:target"] / told["propensity"]).to_numpy()
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _warnings(rows: pl.DataFrame, policy: str, found: dict[str, Estimate]) -> list[str]:
    """Return why not to trust the values of a policy."""
    warnings, size = list[str](), found["inverse_propensity"].effective_sample_size
    if size < _FEW * rows.height:
        warnings.append(
            f"{policy}: its weights count like {size:,.0f} of {rows.height:,} rows, less than"
            f" {_FEW:.0%}: the values rest on few rows; clip the weights, or raise the temperature."
        )
    if (told := _telling_rows(rows, policy)) < _TELLING:
        warnings.append(
            f"{policy}: only {told:.1f} effective rows have a reward other than the median, less"
            f" than {_TELLING:g}: its intervals are too narrow; give more rows."
        )
    weights = on_policy(rows[f"{policy}:target"] / rows["propensity"])
    if abs(weights.value - 1.0) > _SURE * weights.standard_error + _SLACK:  # not if that is NaN
        warnings.append(
            f"{policy}: its weights average {weights.value:.3g} and not 1: the propensities are not"
            " those of the log, or leave out actions that this policy takes; do not trust values"
            " that rest on weights."
        )
    return warnings


def _model_warnings(rows: pl.DataFrame, policies: Sequence[str]) -> list[str]:
    """Return where the reward model is wrong on the mean, by what noise cannot explain."""
    gap, earned = on_policy(rows["predicted"] - rows["reward"]), on_policy(rows["reward"]).value
    if abs(gap.value) > max(_SURE * gap.standard_error, _FAR * abs(earned)):
        words = (
            f"the run predicts {earned + gap.value:.4g} a row for the logged actions, which earned"
            f" {earned:.4g}: do not trust the direct method; calibrate the run, or train it longer."
        )
        return [words]
    found = [(name, _bias(rows, name)) for name in policies if f"{name}:expected" in rows.columns]
    return [
        f"{name}: by the weighted rows the direct method is off by {-bias.value:+.4g}"
        f" (± {2 * bias.standard_error:.2g}), which its interval does not cover: the reward model"
        " is wrong for these actions; trust doubly robust."
        for name, bias in found
        if abs(bias.value) > _BIASED * bias.standard_error and _telling_rows(rows, name) >= _TELLING
    ]


def _bias(rows: pl.DataFrame, policy: str) -> Estimate:
    """Return what doubly robust adds to the direct method."""
    weights = rows[f"{policy}:target"] / rows["propensity"]
    return on_policy(weights * (rows["reward"] - rows["predicted"]))


def _plain_gain(gain: Gain) -> dict[str, Any]:
    plain = _plain_estimate(gain.estimate)
    return {**plain, "telling_rows": gain.telling_rows, "how": gain.how}


def _plain(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: _plain_estimate(estimate) for name, estimate in found.items()}


def _plain_estimate(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval()
    plain = asdict(estimate) | {"low": low, "high": high}
    if plain["parameter"] == math.inf:
        plain["parameter"] = "inf"  # JSON has no number for it
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}
