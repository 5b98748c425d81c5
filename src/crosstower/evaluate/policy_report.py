"""The estimates of a policy that was not run, beside what was logged, and what they mean. No torch.

Decisions are rows of a frame with `reward`, `propensity` and `predicted` (the reward model's value
of the logged action), for each of `POLICIES` `POLICY:target` (its chance of the logged action) and
`POLICY:expected` (the reward model's mean over its actions), and `slot` where places are told
apart.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from crosstower.errors import DataError
from crosstower.evaluate.off_policy import Estimate, all_estimates, doubly_robust, on_policy

POLICIES = ("model", "uniform")
"""What is evaluated: the run's own order, and any action with the same chance."""

_FEW = 0.01
_SURE = 4.0
_SLACK = 0.01  # propensities are often stored with a few digits
_FAR = 0.1
_TELLING = 10.0  # fewer events make a normal interval too narrow


@dataclass(frozen=True)
class PolicyFacts:
    """What was asked. `score` is the column that orders the actions, `clip` limits weights."""

    reward: str
    score: str
    temperature: float
    clip: float | None
    action: str
    item_columns: tuple[str, ...]
    actions: int


@dataclass(frozen=True)
class PolicyReport:
    """The value of a run's policy beside that of the log and of drawing any action alike.

    `policies` holds estimates by policy and estimator, in units of the reward, a row: 'logged' has
    its own mean alone, 'model' and 'uniform' have inverse_propensity, self_normalised,
    direct_method and doubly_robust. `gain` is what the model's policy earns more than the log,
    doubly robust and paired by rows. `slots` has for each slot the 'logged' mean and the 'model's
    doubly robust value. `telling_rows` is the effective number of rows, by the model's weights,
    whose reward is not the usual one (the median), such as clicks: with fewer than ten there is no
    verdict, as intervals are too narrow. `warnings` say what was left out, and what not to trust.
    """

    facts: PolicyFacts
    rows: int
    policies: dict[str, dict[str, Estimate]]
    gain: Estimate
    slots: dict[str, dict[str, Estimate]]
    telling_rows: float
    warnings: tuple[str, ...]

    def verdict(self) -> str:
        """Return a sentence: is the model's order better than the logged one, beyond the noise."""
        value, logged = self.policies["model"]["doubly_robust"], self.policies["logged"]["logged"]
        low, high = self.gain.interval()
        if self.telling_rows < _TELLING:
            words = f"rests on {self.telling_rows:.0f} effective rows of an unusual reward: too few"
        elif low <= 0.0 <= high:
            words = "is within the noise, these rows cannot tell"
        else:
            words = f"is {'better' if low > 0.0 else 'worse'} beyond the noise"
        return (
            f"{self.facts.reward} a row: {value.value:.4g} by the model's order (doubly robust),"
            f" {logged.value:.4g} as logged; {self.gain.value:+.4g}"
            f" (95 % interval {low:+.4g} to {high:+.4g}) {words}."
        )

    def plain(self) -> dict[str, Any]:
        """Return plain data for JSON; intervals are those of 95 %, None is not known."""
        return {
            **asdict(self.facts),
            "rows": self.rows,
            "policies": {name: _plain(found) for name, found in self.policies.items()},
            **_plain({"gain": self.gain}),
            "slots": {name: _plain(found) for name, found in self.slots.items()},
            "telling_rows": self.telling_rows,
            "verdict": self.verdict(),
            "warnings": list(self.warnings),
        }


def policy_report(rows: pl.DataFrame, facts: PolicyFacts) -> PolicyReport:
    """Return the report of decisions, which the module describes.

    Raises:
        DataError: there are no rows, a number is out of its range, or the model's policy takes
            none of the logged actions.

    """
    if not _overlaps(rows):
        raise DataError(
            f"the model's order takes none of the {rows.height:,} logged actions, so the rows say"
            " nothing of its value; give more rows, or a temperature above 0"
        )
    found = {name: _estimates(rows, name, facts.clip) for name in POLICIES}
    warnings = [words for name in POLICIES for words in _warnings(rows, name, found[name])]
    slots, alone = _slots(rows, facts.clip)
    return PolicyReport(
        facts=facts,
        rows=rows.height,
        policies={"logged": {"logged": on_policy(rows["reward"])}, **found},
        gain=_robust(rows, facts.clip, less=rows["reward"]),
        slots=slots,
        telling_rows=_telling_rows(rows, "model"),
        warnings=(*warnings, *_model_warnings(rows), *alone),
    )


def _estimates(rows: pl.DataFrame, policy: str, clip: float | None) -> dict[str, Estimate]:
    found = all_estimates(
        rows["reward"],
        rows["propensity"],
        rows[f"{policy}:target"],
        predicted=rows["predicted"],
        predicted_target=rows[f"{policy}:expected"],
        clip=clip,
    )
    del found["logged"]
    return found


def _robust(rows: pl.DataFrame, clip: float | None, *, less: pl.Series | float = 0.0) -> Estimate:
    """Return the model's doubly robust value, `less` what is taken from it row by row."""
    return doubly_robust(
        rows["reward"],
        rows["propensity"],
        rows["model:target"],
        rows["predicted"],
        rows["model:expected"] - less,
        clip=clip,
    )


def _overlaps(rows: pl.DataFrame) -> bool:
    return bool((rows["model:target"] > 0.0).any())


def _slots(
    rows: pl.DataFrame, clip: float | None
) -> tuple[dict[str, dict[str, Estimate]], list[str]]:
    """Return the estimates of each slot on its own, and warnings of those that have none."""
    found, warnings = dict[str, dict[str, Estimate]](), list[str]()
    if "slot" not in rows.columns:
        return found, warnings
    for part in rows.partition_by("slot", maintain_order=True):
        slot = str(part["slot"][0])
        if _overlaps(part):
            found[slot] = {"logged": on_policy(part["reward"]), "model": _robust(part, clip)}
        else:
            warnings.append(f"slot {slot}: the model's order takes none of its logged actions.")
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
            f"{policy}: only {told:.1f} effective rows have an unusual reward, less than"
            f" {_TELLING:g}: its intervals are too narrow; give more rows."
        )
    weights = on_policy(rows[f"{policy}:target"] / rows["propensity"])
    noise = 0.0 if math.isnan(weights.standard_error) else weights.standard_error
    if abs(weights.value - 1.0) > _SURE * noise + _SLACK:
        warnings.append(
            f"{policy}: its weights average {weights.value:.3g} and not 1: the propensities are not"
            " those of the log, or leave out actions that this policy takes; do not trust values"
            " that rest on weights."
        )
    return warnings


def _model_warnings(rows: pl.DataFrame) -> list[str]:
    """Return whether the reward model is wrong on the mean, by what noise cannot explain."""
    gap, earned = on_policy(rows["predicted"] - rows["reward"]), on_policy(rows["reward"]).value
    if not abs(gap.value) > max(_SURE * gap.standard_error, _FAR * abs(earned)):
        return []
    words = (
        f"the run predicts {earned + gap.value:.4g} a row for the logged actions, which earned"
        f" {earned:.4g}: do not trust the direct method; calibrate the run, or train it longer."
    )
    return [words]


def _plain(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: _plain_estimate(estimate) for name, estimate in found.items()}


def _plain_estimate(estimate: Estimate) -> dict[str, Any]:
    low, high = estimate.interval()
    plain = asdict(estimate) | {"low": low, "high": high}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}
