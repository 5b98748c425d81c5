"""Warnings about off-policy estimates that should not be relied on. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from crosstower.fitting.off_policy.estimators import on_policy
from crosstower.fitting.off_policy.importance import Estimate, Groups
from crosstower.fitting.off_policy.report import INFORMATIVE_ROWS

_SMALL_SHARE = 0.01  # of the rows, as effective sample size
_WEIGHT_ERRORS = 4.0  # standard errors that the mean weight may be off 1
_BIAS_ERRORS = 3.0  # standard errors that the direct method may be off
_SLACK = 0.01  # propensities are often stored with a few digits
_MODEL_ERROR = 0.1  # relative error of the reward model's mean


def weight_warnings(
    decisions: pl.DataFrame, policy: str, found: dict[str, Estimate], clip: float | None
) -> list[str]:
    """Return reasons not to rely on the weighted estimates of a policy.

    Args:
        decisions: `[B]` rows, as `policy_report` takes them.
        policy: name.
        found: its estimates by estimator.
        clip: largest weight; None for no limit.

    """
    warnings, size = list[str](), found["inverse_propensity"].effective_sample_size
    if size < _SMALL_SHARE * decisions.height:
        warnings.append(
            f"{policy}: the effective sample size is {size:,.0f} of {decisions.height:,} rows, less"
            f" than {_SMALL_SHARE:.0%}: the values rest on few rows; clip the weights, or raise the"
            " temperature."
        )
    if (informative := informative_rows(decisions, policy, clip)) < INFORMATIVE_ROWS:
        warnings.append(
            f"{policy}: only {informative:.1f} effective rows have a reward other than the median,"
            f" fewer than {INFORMATIVE_ROWS:g}: its intervals are too narrow; give more rows."
        )
    weight = decisions[f"{policy}:target"] / decisions["propensity"]
    weights = on_policy(weight, lists_of(decisions))
    # A NaN standard error, of a single row, gives no warning.
    if abs(weights.value - 1.0) > _WEIGHT_ERRORS * weights.standard_error + _SLACK:
        warnings.append(
            f"{policy}: the mean weight is {weights.value:.3g}, expected 1: the propensities are"
            " not those of the log, or the log lacks actions that this policy takes; do not rely on"
            " weighted values."
        )
    return warnings


def model_warnings(decisions: pl.DataFrame, policies: Sequence[str]) -> list[str]:
    """Return errors of the reward model that noise cannot explain.

    Args:
        decisions: `[B]` rows, as `policy_report` takes them.
        policies: names of those to check.

    """
    gap = on_policy(decisions["predicted"] - decisions["reward"], lists_of(decisions))
    mean = on_policy(decisions["reward"]).value
    if abs(gap.value) > max(_WEIGHT_ERRORS * gap.standard_error, _MODEL_ERROR * abs(mean)):
        words = (
            f"the run predicts {mean + gap.value:.4g} per row for the logged actions; the log has"
            f" {mean:.4g}: do not rely on the direct method; calibrate the run, or train it longer."
        )
        return [words]
    modelled = [name for name in policies if f"{name}:expected" in decisions.columns]
    found = [(name, _bias(decisions, name)) for name in modelled]
    return [
        f"{name}: the direct method is off by {-bias.value:+.4g} (± {2 * bias.standard_error:.2g})"
        " according to the weighted rows, more than its interval allows: the reward model is wrong"
        " for these actions; rely on doubly robust."
        for name, bias in found
        if abs(bias.value) > _BIAS_ERRORS * bias.standard_error
        and informative_rows(decisions, name) >= INFORMATIVE_ROWS
    ]


def informative_rows(decisions: pl.DataFrame, policy: str, clip: float | None = None) -> float:
    """Return (Σw)² / Σw² over rows whose reward is not the median; `clip` limits the weights."""
    unusual = decisions.filter(pl.col("reward") != pl.col("reward").median())
    weights = (unusual[f"{policy}:target"] / unusual["propensity"]).to_numpy()
    if clip is not None:
        weights = np.minimum(weights, clip)
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def lists_of(decisions: pl.DataFrame) -> Groups:
    """Return the number of each row's list `[B]`; None if all rows are independent."""
    return decisions["list"].to_numpy() if "list" in decisions.columns else None


def _bias(decisions: pl.DataFrame, policy: str) -> Estimate:
    """Return doubly robust minus the direct method."""
    weights = decisions[f"{policy}:target"] / decisions["propensity"]
    residual = decisions["reward"] - decisions["predicted"]
    return on_policy(weights * residual, lists_of(decisions))
