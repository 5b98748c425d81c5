"""Policies compared with the log on the same decisions. No torch.

Decisions are rows of a frame with `reward`, `propensity` and `predicted` (the reward model's value
of the logged action). Each policy has `POLICY:target` (its probability of the logged action) and
`POLICY:expected` (the reward model's mean over its actions). A policy given only by the
probabilities of the logged actions has no `target:expected`. `slot` is optional, and so is
`list`: the number of the list, from 0, whose rows may depend on one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from numpy.typing import NDArray

from crosstower.errors import DataError
from crosstower.fitting.off_policy.estimators import all_estimates, doubly_robust, on_policy
from crosstower.fitting.off_policy.importance import Estimate
from crosstower.fitting.off_policy.reliability import (
    informative_rows,
    lists_of,
    model_warnings,
    weight_warnings,
)
from crosstower.fitting.off_policy.report import Gain, PolicyFacts, PolicyReport

POLICIES = ("model", "uniform", "target")
"""The evaluated policies: the run's own, uniform actions, and a given one."""

_NO_OVERLAP = {
    "model": "the model's policy takes none of the {rows} logged actions, so its value cannot be"
    " estimated; give more rows, or a temperature above 0",
    "uniform": "no row has an action; give more rows",
    "target": "the target policy takes none of the {rows} logged actions, so its value cannot be"
    " estimated; check its column, or evaluate a policy that the log overlaps with",
}
_NAMES = {"model": "the model's policy", "target": "the target policy"}


def policy_report(
    decisions: pl.DataFrame,
    facts: PolicyFacts,
    refits: Mapping[str, NDArray[Any]] | None = None,
) -> PolicyReport:
    """Return the estimates, gains and warnings of all policies.

    Args:
        decisions: `[B]` rows, as described in the module.
        facts: arguments of the evaluation.
        refits: `[M, B]` by policy, as `direct_method` takes them.

    Raises:
        DataError: there are no rows, a number is out of its range, or a policy takes none of the
            logged actions.

    """
    names = [name for name in POLICIES if f"{name}:target" in decisions.columns]
    for name in names:
        if not _overlaps(decisions, name):
            raise DataError(_NO_OVERLAP[name].format(rows=f"{decisions.height:,}"))
    known = refits or {}
    found = {name: _estimates(decisions, name, facts.clip, known.get(name)) for name in names}
    warnings = [
        words
        for name in names
        for words in weight_warnings(decisions, name, found[name], facts.clip)
    ]
    judged = [name for name in names if name != "uniform"]
    slots, without_overlap = _slots(decisions, judged, facts.clip)
    return PolicyReport(
        facts=facts,
        rows=decisions.height,
        policies={
            "logged": {"logged": on_policy(decisions["reward"], lists_of(decisions))},
            **found,
        },
        gains={name: _gain(decisions, name, facts.clip) for name in judged},
        slots=slots,
        warnings=(*warnings, *model_warnings(decisions, judged), *without_overlap),
    )


def _estimates(
    decisions: pl.DataFrame, policy: str, clip: float | None, refits: NDArray[Any] | None
) -> dict[str, Estimate]:
    modelled: dict[str, Any] = {}
    if f"{policy}:expected" in decisions.columns:
        expected = decisions[f"{policy}:expected"]
        modelled = {
            "predicted": decisions["predicted"],
            "predicted_target": expected,
            "refits": refits,
        }
    logged = (decisions[name] for name in ("reward", "propensity", f"{policy}:target"))
    found = all_estimates(*logged, clip=clip, groups=lists_of(decisions), **modelled)
    del found["logged"]
    return found


def _value(
    decisions: pl.DataFrame, policy: str, clip: float | None, *, minus: pl.Series | float = 0.0
) -> Estimate:
    """Return a policy's value, with `minus` subtracted row by row.

    It is doubly robust where the reward model's mean over the policy is known, else inverse
    propensity.
    """
    nothing = pl.zeros(decisions.height, pl.Float64, eager=True)
    known = f"{policy}:expected" in decisions.columns
    return doubly_robust(
        decisions["reward"],
        decisions["propensity"],
        decisions[f"{policy}:target"],
        decisions["predicted"] if known else nothing,
        (decisions[f"{policy}:expected"] if known else nothing) - minus,
        clip=clip,
        groups=lists_of(decisions),
    )


def _gain(decisions: pl.DataFrame, policy: str, clip: float | None) -> Gain:
    modelled = f"{policy}:expected" in decisions.columns
    estimate = _value(decisions, policy, clip, minus=decisions["reward"])
    estimator = "doubly robust" if modelled else "inverse propensity"
    return Gain(estimate, informative_rows(decisions, policy, clip), estimator)


def _overlaps(decisions: pl.DataFrame, policy: str) -> bool:
    return bool((decisions[f"{policy}:target"] > 0.0).any())


def _slots(
    decisions: pl.DataFrame, policies: Sequence[str], clip: float | None
) -> tuple[dict[str, dict[str, Estimate]], list[str]]:
    """Return the estimates per slot, and warnings about policies without overlap."""
    found, warnings = dict[str, dict[str, Estimate]](), list[str]()
    if "slot" not in decisions.columns:
        return found, warnings
    number = pl.col("slot").cast(pl.Float64, strict=False)  # also of text such as "10"
    ordered = decisions.sort(number, "slot", maintain_order=True)
    for part in ordered.partition_by("slot", maintain_order=True):
        slot = str(part["slot"][0])
        values = {name: _value(part, name, clip) for name in policies if _overlaps(part, name)}
        if values:
            found[slot] = {"logged": on_policy(part["reward"], lists_of(part)), **values}
        warnings += [
            f"slot {slot}: {_NAMES[name]} takes none of its logged actions."
            for name in policies
            if name not in values
        ]
    return found, warnings
