"""The rules about places: `max_per`, `slots` and `pin`, in terms of `placement`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from crosstower.blending.rules.attributes import Mask, RuleRows
from crosstower.blending.rules.pacing import Charge, Ledger
from crosstower.blending.rules.placement import Cap, Demands, Reserved, place
from crosstower.recipe.rule_kinds import Pacing, Pin, Slots
from crosstower.recipe.rules import Rules
from crosstower.values.arrays import Floats, Indices


class Places:
    """Fill the places of one list.

    Args:
        rules: of the list.
        rows: its candidates.
        ledger: spending of campaigns; without one, budgets are ignored.
        now: seconds since 1970-01-01 UTC.
        preview: the list is not shown, so that it counts for no campaign.

    """

    def __init__(
        self,
        rules: Rules,
        rows: RuleRows,
        ledger: Ledger | None,
        now: float,
        *,
        preview: bool = False,
    ) -> None:
        self._rules, self._rows = rules, rows
        self._slots = [_Slot(slot, rows, ledger, now, preview=preview) for slot in rules.slots]
        self._caps = [(rule, rows.codes(rule.column)) for rule in rules.max_per]
        self.labels = [
            f"{kind}[{number}]"
            for kind in ("max_per", "slots", "pin")
            for number in range(len(getattr(rules, kind)))
        ]
        self.notices: list[str] = []

    def fill(self, order: Indices, k: int, count: int) -> Indices:
        """Return the order with the first k places filled by the first `count` rules."""
        self.notices = []
        caps = self._caps[:count]
        slots = self._slots[: max(count - len(self._caps), 0)]
        pins = self._rules.pin[: max(count - len(self._caps) - len(slots), 0)]
        demands = Demands(
            caps=[Cap(c[order], rule.most, min(rule.within or k, max(k, 1))) for rule, c in caps],
            reserved=[slot.reserved(order, k) for slot in slots],
            barred=_any([slot.fits[order] for slot in slots if not slot.rule.elsewhere]),
            pins=self._pinned(pins, order, min(k, len(order))),
        )
        placed = place(len(order), k, demands)
        self._note(placed.over, slots, order, k)
        rest = np.ones(len(order), dtype=bool) if demands.barred is None else ~demands.barred
        rest[placed.rows] = False
        return np.concatenate([order[placed.rows], order[rest]])

    def charge(self, shown: Indices) -> list[tuple[int, Charge]]:
        """Charge the campaigns whose items are shown in slots; return the charge of each row."""
        return [charge for slot in self._slots for charge in slot.charge(shown)]

    def _note(self, over: Sequence[int], slots: Sequence[_Slot], order: Indices, k: int) -> None:
        for number, (count, (rule, _)) in enumerate(zip(over, self._caps, strict=False)):
            if count:
                within = f" in {rule.within} places" if rule.within else ""
                self.notices.append(
                    f"rules.max_per[{number}]: {rule.most} per '{rule.column}'{within} is"
                    f" exceeded at {count:,} places; the candidates allow no better list"
                )
        for number, slot in enumerate(slots):
            if len(slot.rule.places(min(k, len(order)))) and not slot.known[order].any():
                self.notices.append(
                    f"rules.slots[{number}]: no candidate fulfils '{slot.rule.where}'"
                    f"{' and its floor' if slot.rule.floor else ''}; its places hold others"
                )

    def _pinned(self, pins: Sequence[Pin], order: Indices, k: int) -> dict[int, int]:
        """Return the candidate of each pinned place, from 0; a later rule comes first."""
        number_of = {int(row): number for number, row in enumerate(order)}
        found: dict[int, int] = {}
        for number, pin in reversed(list(enumerate(pins))):
            row = number_of.get(self._rows.row_of(pin.item))
            if row is None:
                self._say(number, pin, "is not in the list: it is unknown, or a filter excludes it")
            elif row not in found.values():
                at = _free(found, min(pin.at, k) - 1, k)
                if at is None:
                    self._say(number, pin, "has no place: all are pinned")
                    continue
                if at != pin.at - 1:
                    cause = "is not free" if pin.at <= k else f"is beyond the list of {k:,}"
                    self._say(number, pin, f"is at place {at + 1}: place {pin.at} {cause}")
                found[at] = row
        return found

    def _say(self, number: int, pin: Pin, words: str) -> None:
        self.notices.append(f"rules.pin[{number}]: item {pin.item!r:.60} {words}")


class _Slot:
    """A slot rule; its candidates `[C]` fulfil the condition (`fits`), and the floor (`known`)."""

    def __init__(
        self, rule: Slots, rows: RuleRows, ledger: Ledger | None, now: float, *, preview: bool
    ) -> None:
        self.rule, self._rows, self._ledger = rule, rows, ledger
        self.fits = self.known = rows.fits(rule.where)
        if rule.floor is not None:
            self.known = self.fits & (rows.numbers(rule.floor.column) >= rule.floor.at_least)
        self._left: dict[str, float] = {}
        if rule.pacing is not None and ledger is not None:
            self._keys, self._costs, budgets = self._accounts(rule.pacing)
            for row in np.flatnonzero(self.known).tolist():
                if (key := self._keys[row]) not in self._left and budgets[row] > 0:
                    self._left[key] = ledger.left(
                        key,
                        budget=float(budgets[row]),
                        period=rule.pacing.period,
                        now=now,
                        preview=preview,
                    )

    def reserved(self, order: Indices, k: int) -> Reserved:
        """Return the places of the rule and the candidates `[n]` that may fill them."""
        places = self.rule.places(k)
        fits = self.known[order]
        if self.rule.pacing is not None and self._ledger is not None:
            left = dict(self._left)
            for number in np.flatnonzero(fits).tolist():
                row = int(order[number])
                rest = left.get(self._keys[row], 0.0) - self._costs[row]
                fits[number] = rest >= 0
                if rest >= 0:
                    left[self._keys[row]] = rest
        return Reserved(range(places.start - 1, places.stop - 1, places.step), fits)

    def charge(self, shown: Indices) -> list[tuple[int, Charge]]:
        """Charge each campaign the cost of its items in the places of the rule."""
        ledger, found = self._ledger, list[tuple[int, Charge]]()
        if self.rule.pacing is None or ledger is None:
            return found
        costs: dict[str, dict[int, float]] = {}
        for at in self.rule.places(len(shown)):
            row = int(shown[at - 1])
            if self.known[row]:
                costs.setdefault(self._keys[row], {})[row] = float(self._costs[row])
        for key, rows in costs.items():
            cost = sum(rows.values())
            if self._left.get(key, 0.0) >= cost:
                ledger.charge(key, cost)
                found += [(row, ledger.charge_of(key, part)) for row, part in rows.items()]
        return found

    def _accounts(self, pacing: Pacing) -> tuple[list[str], Floats, Floats]:
        """Return the campaign's key, the cost and the budget of each candidate `[C]`."""
        rows, names = self._rows, [""] * self._rows.count
        if pacing.campaign is not None:
            names = rows.column(pacing.campaign).cast(pl.String).fill_null("").to_list()
        cost = np.ones(rows.count) if pacing.cost is None else rows.numbers(pacing.cost)
        budget = pacing.budget
        given = rows.numbers(budget) if isinstance(budget, str) else np.full(rows.count, budget)
        cost = np.where(np.isfinite(cost), np.maximum(cost, 0.0), np.inf)
        return [f"{self.rule.where}\t{name}" for name in names], cost, given


def _any(masks: Sequence[Mask]) -> Mask | None:
    return np.logical_or.reduce(masks) if masks else None


def _free(taken: Collection[int], wanted: int, k: int) -> int | None:
    """Return the free place nearest to a wanted one, the later of two."""
    free = [at for at in range(k) if at not in taken]
    return min(free, key=lambda at: (abs(at - wanted), -at), default=None)
