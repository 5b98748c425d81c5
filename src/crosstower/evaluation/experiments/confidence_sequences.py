"""Always-valid intervals: confidence sequences from Robbins' normal mixture. No torch.

An estimate with standard error s has, at every look, the interval estimate ± h with

    h² = s² (s² + τ²) / τ² · (log((s² + τ²) / s²) - 2 log(1 - level))

(Robbins 1970; Johari et al. 2022, mSPRT; Howard et al. 2021, equation 14; with an estimated
variance an asymptotic confidence sequence, Waudby-Smith et al. 2024). With probability `level` it
covers the truth at all looks at once, so that an experiment may be stopped at any of them. τ, the
scale of the effects that are expected, is fixed before the start. It decides where the interval is
narrowest, at about τ = 2.8 s; the guarantee holds for every τ.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from crosstower.errors import DataError


def half_width(standard_error: float, scale: float, *, level: float = 0.95) -> float:
    """Return half the width of the always-valid interval around an estimate.

    >>> round(half_width(0.1, scale=1 / 12.60056**0.5), 4)  # s² = 1 / 100
    0.3035

    Args:
        standard_error: of the estimate, 0 or more; NaN gives NaN.
        scale: τ, the expected size of the effect, above 0, in units of the estimate.
        level: probability that all intervals cover the truth.

    Raises:
        DataError: `scale` or `level` is out of its range.

    """
    _check(scale, level)
    if standard_error == 0.0:
        return 0.0
    variance, mixing = standard_error**2, scale**2
    ratio = (variance + mixing) / variance
    return math.sqrt(variance * (variance + mixing) / mixing * _excess(ratio, level))


def always_valid_p(estimate: float, standard_error: float, scale: float) -> float:
    """Return the p-value at this look for an effect of 0; valid at every look.

    It is 1 over the mixture likelihood ratio, at most 1; it is below 1 - level exactly if the
    interval of `half_width` excludes 0.

    >>> round(always_valid_p(0.1, 0.1, scale=1 / 12.60056**0.5), 4)
    1.0

    Args:
        estimate: of the effect.
        standard_error: of the estimate, above 0.
        scale: τ, the expected size of the effect, above 0.

    Raises:
        DataError: `scale` is out of its range.

    """
    _check(scale, 0.5)
    variance, mixing = standard_error**2, scale**2
    total = variance + mixing
    log_ratio = estimate**2 * mixing / (2.0 * variance * total) - 0.5 * math.log(total / variance)
    return math.exp(-max(log_ratio, 0.0))


def needed_error(effect: float, scale: float, *, level: float = 0.95, power: float = 0.8) -> float:
    """Return the largest standard error at which an effect is detected with the given power.

    It solves effect = half_width(s) + z s, where z is the normal quantile of `power`. Standard
    errors fall with the root of the number of users, so n users with standard error s need
    n (s / needed_error)² users in all.

    >>> round(half_width(needed_error(0.05, 0.05), 0.05) / needed_error(0.05, 0.05), 2)
    3.06

    Args:
        effect: to be detected, other than 0; its sign does not matter.
        scale: τ, the expected size of the effect, above 0.
        level: probability that all intervals cover the truth.
        power: probability to detect the effect at that look.

    Raises:
        DataError: an argument is out of its range.

    """
    _check(scale, level)
    if effect == 0.0 or not 0.5 <= power < 1.0:
        raise DataError(
            "sample size: expected an effect other than 0 and a power in [0.5, 1), got effect"
            f" {effect} and power {power}"
        )
    quantile, size = NormalDist().inv_cdf(power), abs(effect)

    def gap(log_error: float) -> float:
        error = math.exp(log_error)
        return half_width(error, scale, level=level) + quantile * error - size

    # The interval is wider than that of a single look and narrower than ten standard errors
    # unless s is far from τ, so the root is bracketed by tiny and huge multiples of the effect.
    low, high = math.log(size) - 50.0, math.log(size) + 5.0
    from scipy.optimize import brentq  # noqa: PLC0415 - slow to import

    root: Any = brentq(gap, low, high, xtol=1e-12)
    return math.exp(root)


def _excess(ratio: float, level: float) -> float:
    return math.log(ratio) - 2.0 * math.log1p(-level)


def _check(scale: float, level: float) -> None:
    if not 0.0 < scale < math.inf:
        raise DataError(
            f"scale: expected the size of the expected effect, above 0, such as 0.05, got {scale}"
        )
    if not 0.0 < level < 1.0:
        raise DataError(f"level: expected a share between 0 and 1, such as 0.95, got {level}")
