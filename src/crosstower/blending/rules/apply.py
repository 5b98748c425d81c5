"""Apply rules to a list. Shapes: C candidates, n candidates that are left.

The order: `require`, `exclude`; `boost`, `bury`, `freshness`; `dedup_by`; `mmr` or `dpp`;
`spacing`; then `max_per`, `slots` and `pin` together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from crosstower.blending.diversity import Cosine, SharedValues, mmr_order
from crosstower.blending.rules.attributes import RuleRows
from crosstower.blending.rules.dpp import dpp_order
from crosstower.blending.rules.pacing import Charge, Ledger
from crosstower.blending.rules.place_rules import Places
from crosstower.blending.rules.scores import aged, boosted
from crosstower.blending.rules.spacing import spaced_order
from crosstower.errors import QueryError
from crosstower.recipe.rules import Rules
from crosstower.values.arrays import Floats, Indices

MOST_PLACES = 1_000
"""Rules fill at most so many places of a list; the others follow in order."""

_MOST_SCORE = 1e100  # no rule makes a score so large that the next one overflows


@dataclass(frozen=True)
class Ruled:
    """A list after its rules.

    Args:
        rows: `[n]` candidates in order.
        score: `[C]` scores after boost, bury and freshness; None without such rules.
        moves: number of places `[n]` by which each rule moved each row up, with `explain`.
        removed: number of candidates that each rule left out, with `explain`.
        notices: sentences on rules that could not be satisfied.
        charges: rows that were charged to the budget of a campaign, and how much.

    """

    rows: Indices
    score: Floats | None
    moves: Mapping[str, Indices] = field(default_factory=dict[str, Indices])
    removed: Mapping[str, int] = field(default_factory=dict[str, int])
    notices: tuple[str, ...] = ()
    charges: tuple[tuple[int, Charge], ...] = ()


def apply_rules(
    rules: Rules,
    rows: RuleRows,
    order: Indices,
    score: Floats,
    *,
    k: int,
    now: float | None = None,
    ledger: Ledger | None = None,
    explain: bool = False,
) -> Ruled:
    """Return a list after its rules.

    Rules act on the list as the rules before them left it. Where a step before has reordered the
    list, a candidate has the score of its place, so that no rule undoes an earlier one.

    >>> import polars as pl
    >>> rows = RuleRows.of_table(pl.DataFrame({"city": ["Rome", "Rome", "Oslo"]}), ids="abc")
    >>> rules = Rules(max_per={"column": "city", "most": 1}, pin={"item": "c", "at": 1})
    >>> apply_rules(rules, rows, np.arange(3), np.array([3.0, 2.0, 1.0]), k=2).rows.tolist()
    [2, 0, 1]

    Args:
        rules: to apply.
        rows: the candidates `[C]`.
        order: `[n]` candidates in order before the rules.
        score: `[C]` scores that order them, higher is better.
        k: number of places of the list; the rest follows in order.
        now: seconds since 1970-01-01 UTC; the present if None.
        ledger: spending of campaigns; without one, budgets are ignored.
        explain: return what each rule moved; such a list is a preview and charges no budget.

    """
    now = time.time() if now is None else now
    steps = _Steps(rows, order, score, min(k, MOST_PLACES), explain=explain)
    _filter(steps, rules)
    changed = _rescore(steps, rules, now)
    _deduplicate(steps, rules)
    _diversify(steps, rules)
    places = Places(rules, rows, ledger, now, preview=explain)
    steps.together(places.labels, lambda count: places.fill(steps.order, steps.k, count))
    steps.notices += places.notices
    charges = [] if explain else places.charge(steps.order[: steps.k])
    return Ruled(
        rows=steps.order,
        score=steps.score if changed else None,
        moves=steps.moves(),
        removed=steps.removed,
        notices=tuple(steps.notices),
        charges=tuple(charges),
    )


class _Steps:
    """A list on its way through the rules."""

    def __init__(
        self, rows: RuleRows, order: Indices, score: Floats, k: int, *, explain: bool
    ) -> None:
        self.rows, self.order, self.k, self.explain = rows, order, k, explain
        self.score = score.astype(np.float64)
        self.notices: list[str] = []
        self.removed: dict[str, int] = {}
        self._trace: list[tuple[str, Indices]] = [("", order)]
        self.score_places()

    def score_places(self) -> None:
        """Give each candidate the score of its place, if the order is not by score."""
        merit = self.score[self.order]
        if (merit[1:] > merit[:-1]).any():
            self.score = self.score.copy()
            self.score[self.order] = -np.sort(-merit)

    def relevance(self) -> Floats:
        """Return the scores in order, scaled to [0, 1] `[n]`; 0 if all are equal."""
        merit = self.score[self.order]
        span = merit[0] - merit[-1] if len(merit) else 0.0
        return (merit - merit[-1]) / span if span > 0 else np.zeros(len(merit))

    def to(self, label: str, order: Indices) -> None:
        """Take the order that a rule has made."""
        if self.explain:
            self._trace.append((label, order))
            if len(order) < len(self.order):
                self.removed[label] = len(self.order) - len(order)
        self.order = order

    def first(self, label: str, chosen: Indices) -> None:
        """Take the order with the chosen places `[n]` first."""
        rest = np.ones(len(self.order), dtype=bool)
        rest[chosen] = False
        self.to(label, np.concatenate([self.order[chosen], self.order[rest]]))
        self.score_places()

    def together(self, labels: Sequence[str], run: Callable[[int], Indices]) -> None:
        """Apply several rules at once; the effect of each is traced separately."""
        if not labels:
            return
        counts = range(1, len(labels) + 1) if self.explain else [len(labels)]
        orders = [
            run(count) for count in counts
        ]  # before any is taken: all start from the same list
        for count, order in zip(counts, orders, strict=True):
            self.to(labels[count - 1], order)

    def moves(self) -> dict[str, Indices]:
        """Return the number of places up by rule, of the rows that are left."""
        found: dict[str, Indices] = {}
        for (_, before), (label, after) in zip(self._trace, self._trace[1:], strict=False):
            ranks = [np.zeros(self.rows.count, dtype=np.int64) for _ in range(2)]
            for rank, order in zip(ranks, (before, after), strict=True):
                rank[order] = np.arange(len(order))
            found[label] = (ranks[0] - ranks[1])[self.order]
        return found


def _filter(steps: _Steps, rules: Rules) -> None:
    emptied: str | None = None
    for kind, wanted in (("require", True), ("exclude", False)):
        for number, where in enumerate(getattr(rules, kind)):
            label = f"{kind}[{number}]"
            steps.to(label, steps.order[steps.rows.fits(where)[steps.order] == wanted])
            if emptied is None and not len(steps.order):
                emptied = label  # or retrieval has found nothing that the filters allow
    if emptied is not None:
        steps.notices.append(f"rules.{emptied}: no item is left; the list is empty")


def _rescore(steps: _Steps, rules: Rules, now: float) -> bool:
    """Change scores and sort by them; return whether a rule did."""
    rows, changes = steps.rows, list[tuple[str, Callable[[Floats], Floats]]]()
    for kind in ("boost", "bury"):
        for number, rule in enumerate(getattr(rules, kind)):
            fits = rows.fits(rule.where)
            label = f"{kind}[{number}]"
            if not fits[steps.order].any():
                steps.notices.append(f"rules.{label}: no candidate fulfils '{rule.where}'")
            changes.append((label, lambda s, fits=fits, rule=rule: boosted(s, fits, rule)))
    if (fresh := rules.freshness) is not None:
        changes.append(("freshness", lambda s: aged(s, rows, fresh, now)))
    for label, change in changes:
        steps.score = np.clip(change(steps.score), -_MOST_SCORE, _MOST_SCORE)
        steps.to(label, steps.order[np.argsort(-steps.score[steps.order], kind="stable")])
    return bool(changes)


def _deduplicate(steps: _Steps, rules: Rules) -> None:
    for number, column in enumerate(rules.dedup_by):
        codes = steps.rows.codes(column)[steps.order]
        keep = codes < 0
        keep[np.unique(codes, return_index=True)[1]] = True
        steps.to(f"dedup_by[{number}]", steps.order[keep])


def _vectors_of(rows: RuleRows) -> NDArray[np.float32]:
    if rows.vectors is None:
        raise QueryError(
            "rules: mmr and dpp need the vectors of items, which these rows lack; use mmr with"
            " similar_by: [COLUMN, ...]"
        )
    return rows.vectors()


def _diversify(steps: _Steps, rules: Rules) -> None:
    """Re-rank by MMR or a DPP, then space."""
    rows = steps.rows
    if rules.mmr is not None and len(steps.order):
        similar = [rows.codes(name)[steps.order] + 1 for name in rules.mmr.similar_by]
        likeness = SharedValues(similar) if similar else Cosine(_vectors_of(rows)[steps.order])
        share, merit = rules.mmr.relevance, steps.score[steps.order]
        steps.first("mmr", mmr_order(merit, likeness, share=share, top=steps.k))
    if rules.dpp is not None:
        theta, vectors = rules.dpp.relevance, _vectors_of(rows)[steps.order]
        steps.first("dpp", dpp_order(steps.relevance(), vectors, theta=theta, top=steps.k))
    if rules.spacing:
        relevance, start = steps.relevance(), steps.order
        columns = [(rule, rows.codes(rule.column)[start]) for rule in rules.spacing]

        def spaced(count: int) -> Indices:
            chosen = spaced_order(relevance, columns[:count], top=steps.k)
            rest = np.ones(len(start), dtype=bool)
            rest[chosen] = False
            return np.concatenate([start[chosen], start[rest]])

        steps.together([f"spacing[{n}]" for n in range(len(columns))], spaced)
