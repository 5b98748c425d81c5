"""Verdicts on the stages of a funnel, as sentences.

Every interval is a 95 % confidence interval of the paired difference over queries. If it contains
0, the difference is reported as not significant.
"""

from __future__ import annotations

from collections.abc import Sequence

from crosstower.funnel.report import TRUE_VALUE, Change, Lift
from crosstower.funnel.source_figures import SourceFigures, source_sentences
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
    Step,
)

_SUBJECTS = {
    RETRIEVED: "Retrieval",
    RANKED: "Ranking",
    BLENDED: "Blending",
    DIVERSIFIED: "Diversity",
    RULED: "Applying the rules",
}
_CAVEAT = (
    "Labels exist only for items that were shown, so a stage that finds other items looks worse"
    " than it is. An experiment or a synthetic dataset shows its real value."
)


def verdicts_of(
    steps: Sequence[Step],
    lifts: Sequence[Lift],
    *,
    relevant: int,
    candidates: int,
    items: int,
    k: int,
    sources: Sequence[SourceFigures] = (),
) -> tuple[str, ...]:
    """Return the sentences of a report; arguments as in `FunnelReport`."""
    sentences = [found_verdict(steps[0], relevant=relevant, candidates=candidates, items=items)]
    sentences += source_sentences(sources, relevant)
    hurts = False
    for lift in lifts:
        sentences.append(lift_verdict(lift, f"ndcg@{k}"))
        change = lift.changes[f"ndcg@{k}"].difference
        hurts |= lift.stage in _SUBJECTS and change.high < 0.0
        if f"{TRUE_VALUE}@{k}" in lift.changes:
            sentences.append(lift_verdict(lift, f"{TRUE_VALUE}@{k}"))
    return (*sentences, *([_CAVEAT] if hurts else []))


def found_verdict(step: Step, *, relevant: int, candidates: int, items: int) -> str:
    """Return the share of relevant items among the candidates as a sentence.

    >>> found_verdict(Step("retrieval", 17, 0, 83), relevant=100, candidates=200, items=1500)
    'Retrieval finds 83 % of the relevant items among 200 of 1,500 items.'
    """
    share = 100.0 * step.left / relevant
    return (
        f"Retrieval finds {share:.0f} % of the relevant items among {candidates:,} of {items:,}"
        " items."
    )


def lift_verdict(lift: Lift, metric: str) -> str:
    """Return the change of a metric by a stage, and whether it is significant.

    >>> from crosstower.funnel.report import Estimate
    >>> change = Change(0.21, 0.27, Estimate(0.06, 0.05, 0.07))
    >>> lift_verdict(Lift("ranked", "retrieved", {"ndcg@10": change}), "ndcg@10")
    'Ranking lifts NDCG@10 from 0.210 to 0.270 (+0.060, 95 % +0.050 to +0.070).'
    """
    change, words = lift.changes[metric], _title(metric)
    if lift.stage.startswith(ALL_ITEMS):
        return _without_retrieval(lift, change, words)
    if lift.stage.startswith(WITHOUT):
        return _without_source(lift.stage.removeprefix(WITHOUT), change, words)
    if lift.stage == BEST_ORDER:
        return f"The best order of the candidates would reach {words} {_number(change.after)}."
    subject, before, after = _SUBJECTS[lift.stage], _number(change.before), _number(change.after)
    over = " for popular items" if lift.over == POPULAR else ""
    if not change.difference.is_real:
        return (
            f"{subject} makes no significant difference: {words} is {before}{over}"
            f" and {after} after it {_interval(change)}."
        )
    verb = "lifts" if change.difference.mean > 0 else "lowers"
    return f"{subject} {verb} {words} from {before}{over} to {after} {_interval(change)}."


def _without_retrieval(lift: Lift, change: Change, words: str) -> str:
    kind = "blended" if lift.over == BLENDED else "ranked"
    would = f"{_number(change.after)} {kind} {_interval(change)}"
    if not change.difference.is_real:
        return f"If retrieval missed nothing, {words} would not change significantly: {would}."
    if change.difference.mean > 0:
        return f"If retrieval missed nothing, {words} would be {would}: more candidates help."
    return (
        f"If retrieval returned all items, {words} would be {would}: it removes items that are"
        " ranked too high."
    )


def _without_source(source: str, change: Change, words: str) -> str:
    would = f"{_number(change.after)} {_interval(change)}"
    if not change.difference.is_real:
        return f"Without {source}, {words} would not change significantly: {would}."
    verb = "fall" if change.difference.mean < 0 else "rise"
    return f"Without {source}, {words} would {verb} to {would}."


def _title(metric: str) -> str:
    name, _, k = metric.partition("@")
    return f"the true value of the first {k}" if name == TRUE_VALUE else f"{name.upper()}@{k}"


def _interval(change: Change) -> str:
    gap = change.difference
    return f"({_signed(gap.mean)}, 95 % {_signed(gap.low)} to {_signed(gap.high)})"


def _number(value: float) -> str:
    """Return a number with three decimals, or with two significant digits if it is small.

    >>> [_number(x) for x in (0.2134, 0.00456, 0.0, 12.3)]
    ['0.213', '0.0046', '0.000', '12.300']
    """
    return f"{value:.3f}" if value == 0.0 or abs(value) >= 0.01 else f"{value:.2g}"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else ''}{_number(value)}"
