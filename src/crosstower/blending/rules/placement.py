"""Caps, slots and pins: each place of a list gets the best candidate that it allows.

Candidates are numbered in order of preference, 0 being the best. Shapes: C candidates, K places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from crosstower.blending.rules.attributes import Mask
from crosstower.values.arrays import Indices

_STEPS, _STEPS_PER_PLACE = 500, 4  # of a search before it is given up
_EMPTY = -1


@dataclass(frozen=True)
class Cap:
    """At most `most` candidates per code in any `within` places; code -1 is not limited."""

    codes: Indices
    most: int
    within: int


@dataclass(frozen=True)
class Reserved:
    """Places, from 0, for candidates of a mask `[C]`."""

    places: range
    fits: Mask


@dataclass(frozen=True)
class Demands:
    """Requirements on the first places of a list.

    Args:
        caps: limits per value.
        reserved: slots; of two for one place the first that can fill it does.
        barred: `[C]` candidates that may be shown in a slot or by a pin only.
        pins: candidate by place, from 0.

    """

    caps: Sequence[Cap] = ()
    reserved: Sequence[Reserved] = ()
    barred: Mask | None = None
    pins: Mapping[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True)
class Placed:
    """Candidates by place `[K]`, and the number of places over each cap."""

    rows: Indices
    over: tuple[int, ...]


def place(count: int, top: int, demands: Demands) -> Placed:
    """Fill the first places of a list of candidates.

    A pinned place holds its candidate. A reserved place prefers its candidates. Caps hold wherever
    they can: of all lists that keep them, the result prefers the better candidate at the first
    place, then at the second, and so on. Where no list keeps them, or none is found in a bounded
    search, each place goes to the candidate that exceeds the fewest caps.

    >>> caps = [Cap(np.array([0, 0, 0, 1]), most=1, within=2)]
    >>> place(4, 3, Demands(caps)).rows.tolist()
    [0, 3, 1]

    Args:
        count: number of candidates.
        top: number of places.
        demands: of these places.

    """
    board = _Board(count, min(top, count), demands)
    rows = board.fill()
    over = board.over(rows)
    if any(over) and board.may_be_possible() and (better := board.search()) is not None:
        rows, over = better, board.over(better)
    return Placed(rows, over)


class _Board:
    """Places of a list and the candidates that are left."""

    def __init__(self, count: int, top: int, demands: Demands) -> None:
        self.top, self.demands = top, demands
        self.pins = {p: row for p, row in demands.pins.items() if p < top}
        self.allowed = np.ones(count, dtype=bool) if demands.barred is None else ~demands.barred
        self.clear()

    def clear(self) -> None:
        """Take all candidates but the pinned ones off the list."""
        self.rows = np.full(self.top, _EMPTY)
        self.free = np.ones(len(self.allowed), dtype=bool)
        self.taken = [np.full(self.top, _EMPTY) for _ in self.demands.caps]
        for at, row in self.pins.items():
            self.put(at, row)

    def put(self, at: int, row: int) -> None:
        """Place a candidate."""
        self.rows[at], self.free[row] = row, False
        for cap, taken in zip(self.demands.caps, self.taken, strict=True):
            taken[at] = cap.codes[row]

    def lift(self, at: int) -> None:
        """Take the candidate of a place off the list."""
        self.free[self.rows[at]], self.rows[at] = True, _EMPTY
        for taken in self.taken:
            taken[at] = _EMPTY

    def full(self, at: int) -> list[Mask]:
        """Return for each cap the candidates `[C]` whose value is at its limit around a place."""
        return [
            self._full(cap, taken, at)
            for cap, taken in zip(self.demands.caps, self.taken, strict=True)
        ]

    def _full(self, cap: Cap, taken: Indices, at: int) -> Mask:
        # Behind the place only pins are there, so only windows that end at one hold more.
        ends = [at, *(p for p in self.pins if at < p < at + cap.within)]
        limit = np.zeros(int(cap.codes.max(initial=-1)) + 2, dtype=bool)  # the last: no value
        for end in ends:
            window = taken[max(end - cap.within + 1, 0) : end + 1]
            held = window[window >= 0]
            if len(held) >= cap.most:
                limit |= np.bincount(held, minlength=len(limit)) >= cap.most
        return limit[cap.codes]

    def options(self, at: int, open_: Mask) -> list[Indices]:
        """Return the candidates for a place among those that are open, best group first."""
        groups = [
            np.flatnonzero(slot.fits & open_) for slot in self.demands.reserved if at in slot.places
        ]
        return [*groups, np.flatnonzero(self.allowed & open_)]

    def fill(self) -> Indices:
        """Return the list filled place by place, over a cap where nothing else is left."""
        for at in range(self.top):
            if at not in self.pins:
                row = self._best(at, self.full(at))
                if row is None:
                    break
                self.put(at, row)
        return self.rows[self.rows != _EMPTY]

    def _best(self, at: int, full: Sequence[Mask]) -> int | None:
        """Return the first candidate that the fewest caps forbid; None if no candidate is left."""
        broken = np.sum(full, axis=0) if full else np.zeros(len(self.free), dtype=np.int64)
        for group in self.options(at, self.free & (broken == 0)):
            if len(group):
                return int(group[0])
        left = self.options(at, self.free)[-1]
        return int(left[np.argmin(broken[left])]) if len(left) else None

    def over(self, rows: Indices) -> tuple[int, ...]:
        """Return the number of places over each cap."""
        counts: list[int] = []
        for cap in self.demands.caps:
            codes = cap.codes[rows]
            windows = [codes[max(at - cap.within + 1, 0) : at + 1] for at in range(len(rows))]
            held = [int((window == window[-1]).sum()) for window in windows if window[-1] >= 0]
            counts.append(sum(number > cap.most for number in held))
        return tuple(counts)

    def may_be_possible(self) -> bool:
        """Return whether there are candidates enough for all places under each cap by itself."""
        free = self.allowed.copy()
        for slot in self.demands.reserved:
            free |= slot.fits
        free[list(self.pins.values())] = True
        return all(self._room(cap, free) >= self.top for cap in self.demands.caps)

    def _room(self, cap: Cap, free: Mask) -> int:
        whole, rest = divmod(self.top, cap.within)
        most = whole * cap.most + min(rest, cap.most)
        codes = cap.codes[free]
        return int(np.minimum(np.bincount(codes[codes >= 0]), most).sum() + (codes < 0).sum())

    def search(self) -> Indices | None:
        """Return the first list in order of preference that keeps all caps; None if none is found.

        Candidates with the same values are alike: where one leads nowhere, so do the others.
        """
        self.clear()
        alike, tried = self._alike(), [0] * self.top
        at, steps = 0, _STEPS + _STEPS_PER_PLACE * self.top
        while at < self.top:
            if at in self.pins:
                at += 1
                continue
            steps -= 1
            choices = self._choices(at, alike)
            if steps > 0 and tried[at] < len(choices):
                self.put(at, choices[tried[at]])
                tried[at] += 1
                at += 1
                continue
            tried[at] = 0
            at = max((p for p in range(at) if p not in self.pins), default=-1)
            if at < 0 or steps <= 0:
                return None
            self.lift(at)
        return self.rows

    def _choices(self, at: int, alike: Indices) -> list[int]:
        """Return the first candidate of each kind that a place allows, best first."""
        open_ = self.free & ~np.any(self.full(at), axis=0)
        chosen: dict[int, int] = {}
        for group in self.options(at, open_):
            for row in group[np.sort(np.unique(alike[group], return_index=True)[1])].tolist():
                chosen.setdefault(int(alike[row]), row)
        return list(chosen.values())

    def _alike(self) -> Indices:
        """Return a number `[C]` for the values of each candidate that places depend on."""
        columns = [np.arange(len(self.free)) * 0, self.allowed.astype(np.int64)]
        columns += [cap.codes for cap in self.demands.caps]
        columns += [slot.fits.astype(np.int64) for slot in self.demands.reserved]
        # A candidate without a value is limited by nothing, so one stands for all.
        return np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)[1].ravel()
