"""Verdicts of an experiment as sentences. No torch."""

from __future__ import annotations

from collections.abc import Sequence

from crosstower.evaluation.experiments.lifts import LEAST_ACTIVE
from crosstower.evaluation.experiments.report import ArmComparison, InterleavedArm, SampleSize
from crosstower.evaluation.experiments.sample_ratio import SampleRatio
from crosstower.evaluation.reports.page import percent, signed_percent


def mismatch_words(arms: Sequence[str], ratio: SampleRatio) -> str:
    """Return the sentence about a sample ratio mismatch.

    Args:
        arms: names in the order of the counts.
        ratio: with a mismatch.

    """
    seen = sum(ratio.counts)
    shares = ", ".join(
        f"{name} has {percent(count / seen)} instead of {percent(share)}"
        for name, count, share in zip(arms, ratio.counts, ratio.shares, strict=True)
    )
    return (
        f"Sample ratio mismatch (p = {ratio.sequential_p:.2g}): {shares} of the users. Users are"
        " lost or counted depending on their arm, so the results are not reliable. If a share was"
        " changed, set start to the time of the change; else check how each arm logs exposures."
    )


def primary_words(one: ArmComparison, control: str, level: float, size: SampleSize | None) -> str:
    """Return the verdict about an arm in the primary metric.

    Args:
        one: the comparison with the control.
        control: name of the control.
        level: of the interval.
        size: needed number of users, if it is known.

    """
    if not one.lift.known:
        return (
            f"{one.arm}: no verdict yet in {one.metric}: fewer than {LEAST_ACTIVE} users per arm"
            " have one, or the control's mean is too close to 0."
        )
    result = f"{one.metric} {_lift_words(one, level)}"
    if one.outcome != "no difference yet":
        return f"{one.arm} is {one.outcome} than {control}: {result}."
    words = f"{one.arm}: no difference from {control} shown yet: {result}."
    if size is None or size.needed <= size.users:
        return words
    return f"{words} About {size.needed:,} users are needed, {size.users:,} are in."


def guardrail_words(one: ArmComparison, level: float) -> str:
    """Return whether a guardrail holds: no loss beyond its tolerance.

    Args:
        one: the comparison in the metric, which has a guardrail.
        level: of the interval.

    """
    tolerance = one.guardrail or 0.0
    low, high = one.gain
    if not one.lift.known:
        state = "is undecided, there are too few users"
    elif high < 0.0:
        state = "is broken"
    elif low > -tolerance:
        state = "holds"
    else:
        state = "is undecided"
    lift = f": {_lift_words(one, level)}" if one.lift.known else ""
    return f"Guardrail {one.metric} of {one.arm} (at most {percent(tolerance)} loss) {state}{lift}."


def preference_words(one: InterleavedArm, level: float) -> str:
    """Return which of two interleaved arms users prefer.

    Args:
        one: the interleaved arm.
        level: of the interval.

    """
    found = one.preference
    losses, wins = found.wins
    counts = f"{wins:,} users click more on {one.second}, {losses:,} on {one.first}"
    if not found.low < found.high:
        return f"{one.arm}: no verdict yet: {counts}."
    interval = (
        f"lead in clicks {signed_percent(found.estimate, 1)}, {_level_words(level)} interval"
        f" {signed_percent(found.low, 1)} to {signed_percent(found.high, 1)}"
    )
    if found.low <= 0.0 <= found.high:
        return (
            f"{one.arm}: no preference between {one.first} and {one.second} shown yet: {counts}"
            f" ({interval})."
        )
    best, other = (one.second, one.first) if found.low > 0.0 else (one.first, one.second)
    return f"{one.arm}: users prefer {best} to {other}: {counts} ({interval})."


def _lift_words(one: ArmComparison, level: float) -> str:
    lift = one.lift
    return (
        f"{signed_percent(lift.value, 1)} ({_level_words(level)} interval"
        f" {signed_percent(lift.low, 1)} to {signed_percent(lift.high, 1)})"
    )


def _level_words(level: float) -> str:
    return f"{100.0 * level:.3g} %"
