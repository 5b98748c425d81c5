"""Rules of a request in the funnel: before retrieval, among the candidates, and in the order."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from crosstower.blending.rules.apply import apply_rules
from crosstower.blending.rules.attributes import RuleRows
from crosstower.blending.rules.check import check_rules
from crosstower.blending.rules.pacing import Ledger
from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.funnel.online.request import Explanation, FunnelRequest, Ranked, RequestState
from crosstower.recipe.rules import Rules
from crosstower.retrieval.online.online_retriever import OnlineRetriever
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.sources.quotas import NOTHING
from crosstower.values.arrays import Indices
from crosstower.values.ids import given_id

_MOST_EXCLUDED = 50_000  # items that a search leaves out one by one
_SLOT_CANDIDATES = 50  # additional candidates per slot rule


class FunnelRules:
    """Applies the rules of a bundle and a request to the items of a funnel.

    Args:
        catalogue: of the items.
        retriever: finds candidates for slots.
        own: rules of the bundle.
        ledger: spending of campaigns.

    """

    def __init__(
        self, catalogue: OnlineCatalogue, retriever: OnlineRetriever, own: Rules, ledger: Ledger
    ) -> None:
        self._catalogue, self._items, self._retriever = catalogue, catalogue.items, retriever
        self.own, self.ledger = own, ledger

    def begin(self, state: RequestState) -> None:
        """Set the rules of a request, and the items that retrieval must leave out.

        Raises:
            QueryError: a rule of the request is wrong.

        """
        given = state.request.rules
        if given is not None:
            check_rules(given, self._items.catalogue.kinds, vectors=True)
        rules = state.rules = self.own.with_request(given)
        conditions = [*([state.where] if state.where else []), *rules.require]
        state.where = " and ".join(f"({text})" for text in conditions) or None
        for where in rules.exclude:
            places = self._items.fulfilling(where)
            if len(places) <= _MOST_EXCLUDED:
                state.excluded = np.concatenate([state.excluded, places])

    def add(self, state: RequestState) -> None:
        """Add candidates for the slots and pins of a request to those that were retrieved."""
        rules = state.rules
        if rules is None or not (rules.slots or rules.pin):
            return
        found = state.found
        wanted = [self._for_slot(state, slot.where) for slot in rules.slots]
        wanted.append(self._pinned(state, rules))
        places = np.concatenate(wanted)
        places = places[~np.isin(places, found.places)]
        places = places[np.sort(np.unique(places, return_index=True)[1])]
        if not len(places):
            return
        scores = np.concatenate([found.score, self._scores(state, places)])
        state.found = replace(
            found,
            places=np.concatenate([found.places, places]),
            score=scores,
            retrieval_rank=np.append(np.arange(1, len(found.places) + 1), np.zeros_like(places)),
            retrieval_score=scores,
            sources=None if found.sources is None else found.sources.extended(len(places)),
        )

    def _scores(self, state: RequestState, places: Indices) -> NDArray[np.float64]:
        """Return scores of added candidates on the scale of those that were retrieved."""
        if state.found.sources is not None:
            return np.zeros(len(places))  # no source has found them
        if state.vector is None or state.found.fallback is not None:
            return self._catalogue.popular.training_rows(places).astype(np.float64)
        return (self._items.vectors(places) @ state.vector[0]).astype(np.float64)

    def order(self, state: RequestState) -> None:
        """Apply the rules of a request to its candidates, which are in order."""
        if state.rules is not None:
            start = time.perf_counter()
            rows = item_rows(self._items, state.found.places)
            state.found = ruled(state.found, state.rules, rows, state.request, self.ledger)
            why, retrieved = state.found.explanation, state.found.retrieval_rank is not None
            if why is not None and retrieved:
                removed = {**why.removed, **self._filtered(state.rules)}
                state.found = replace(state.found, explanation=replace(why, removed=removed))
            state.seconds["rules"] = time.perf_counter() - start

    def _filtered(self, rules: Rules) -> dict[str, int]:
        """Return by filter the number of items that retrieval left out."""
        count, found = len(self._items), dict[str, int]()
        for number, where in enumerate(rules.require):
            found[f"require[{number}]"] = count - len(self._items.fulfilling(where))
        for number, where in enumerate(rules.exclude):
            found[f"exclude[{number}]"] = len(self._items.fulfilling(where))
        return {rule: items for rule, items in found.items() if items}

    def _for_slot(self, state: RequestState, where: str) -> Indices:
        where = where if state.where is None else f"({where}) and ({state.where})"
        slot = replace(state, size=_SLOT_CANDIDATES, where=where, nearest=NOTHING)
        self._retriever.search([slot])
        if slot.error is not None:
            raise slot.error
        return slot.retrieved.places

    def _pinned(self, state: RequestState, rules: Rules) -> Indices:
        places = self._items.places_of([pin.item for pin in rules.pin])
        places = places[(places >= 0) & ~np.isin(places, state.excluded)]
        return places[self._items.fits(places, state.where)]


def ruled(
    found: Ranked, rules: Rules, rows: RuleRows, request: FunnelRequest, ledger: Ledger | None
) -> Ranked:
    """Return candidates in order after rules.

    Args:
        found: candidates in order.
        rules: to apply.
        rows: the same candidates in the same order.
        request: says how many items are shown, and whether to explain.
        ledger: spending of campaigns.

    """
    result = apply_rules(
        rules,
        rows,
        np.arange(rows.count),
        found.score,
        k=request.k,
        ledger=ledger,
        explain=request.explain,
    )
    if result.score is not None:
        found = replace(found, score=result.score)
    found = replace(
        found.take(result.rows),
        notices=(*found.notices, *result.notices),
        charges=tuple((int(found.places[row]), charge) for row, charge in result.charges),
    )
    if not request.explain:
        return found
    return replace(found, explanation=Explanation(rules, result.moves, result.removed))


def item_rows(items: OnlineItems, places: Indices) -> RuleRows:
    """Return the items at `places` as rules read them."""

    @cache
    def numbers() -> dict[int | str, int]:
        return {item: row for row, item in enumerate(items.ids(places))}

    def unit_vectors() -> NDArray[np.float32]:
        found = items.vectors(places)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-12))

    return RuleRows(
        count=len(places),
        column=lambda name: items.column(places, name),
        fits=lambda where: items.fits(places, where),
        row_of=lambda item: numbers().get(given_id("item", item), -1),
        vectors=unit_vectors,
    )
