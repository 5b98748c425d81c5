"""Lists after rules, by the same code as for requests. Q queries, K places of a list."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from crosstower.blending.rules.apply import apply_rules
from crosstower.funnel.funnel import Funnel
from crosstower.funnel.online.rules import item_rows
from crosstower.funnel.stages import RULED
from crosstower.ranking.scorer import BLEND_SCORE, PREDICTION
from crosstower.recipe.rules import Rules
from crosstower.values.arrays import Indices


def ruled_lists(
    funnel: Funnel,
    scored: pl.DataFrame,
    ranks: Mapping[str, Indices],
    query: Indices,
    item: Indices,
    *,
    shape: tuple[int, int],
) -> dict[str, Indices]:
    """Return the lists `[Q, K]` after the rules of a funnel, none without rules.

    Rules see the candidates only: filters do not retrieve others, and slots and pins add none.
    Budgets are ignored. Ages count from the newest time of all items.

    Args:
        funnel: with rules.
        scored: rows as `Funnel.score` returns them.
        ranks: `[rows]` by stage, from 1 per query; rules act on the last one.
        query: `[rows]` of each candidate.
        item: `[rows]` places of candidates.
        shape: Q and K.

    """
    if not funnel.rules.given():
        return {}
    name = BLEND_SCORE if BLEND_SCORE in scored.columns else f"{funnel.task}{PREDICTION}"
    score, rank, now = scored[name].to_numpy(), list(ranks.values())[-1], _newest(funnel)
    lists = np.full(shape, -1, dtype=np.int64)
    order = np.lexsort((rank, query))
    for rows in np.split(order, np.flatnonzero(np.diff(query[order])) + 1):
        result = apply_rules(
            funnel.rules,
            item_rows(funnel.items, item[rows]),
            np.arange(len(rows)),
            score[rows],
            k=shape[1],
            now=now,
        )
        if len(found := result.rows[: shape[1]]):
            lists[query[rows[0]], : len(found)] = item[rows[found]]
    return {RULED: lists}


def rule_notes(rules: Rules) -> list[str]:
    """Return remarks on rules that act on requests differently."""
    retrieved = [name for name in ("require", "exclude", "slots", "pin") if getattr(rules, name)]
    notes = list[str]()
    if retrieved:
        notes.append(
            f"rules: {', '.join(retrieved)} act on the retrieved candidates only, while requests"
            " retrieve others for them: their lists are longer or fit better"
        )
    if any(slot.pacing is not None for slot in rules.slots):
        notes.append("rules: budgets of slots are ignored, so paced items are shown too often")
    return notes


def _newest(funnel: Funnel) -> float:
    """Return the newest time of all items, 0 if no rule needs it."""
    if funnel.rules.freshness is None:
        return 0.0
    every = item_rows(funnel.items, np.arange(len(funnel.items)))
    times = every.times(funnel.rules.freshness.column)
    return float(np.nanmax(times, initial=0.0))
