"""The search of the approximate index for one query."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import torch
from torch import Tensor

from crosstower.retrieval.index.blocks import Blocks, products
from crosstower.retrieval.index.nearest_items import largest_columns
from crosstower.retrieval.index.survivors import Survivors
from crosstower.retrieval.index.vectors import Floats, Vectors
from crosstower.values.arrays import Indices

Found = tuple[Indices, Floats]
REACH = 3.0  # standard deviations by which a block's best item exceeds its mean
LISTS = (10, 100, 1_000)
_LEAST_SLOPE, _CLOSE = 0.2, 1.25
_GROWTH, _HALF, _AT_ONCE = 4, 2, 512
_CONDENSED = 4  # survivors of up to a share of 1 in so many items may be scanned by themselves
_WASTE = 1.5


@dataclass(frozen=True)
class ScanSettings:
    """How thoroughly to search, measured when the index is built.

    Args:
        depths: numbers of blocks that hold nearly all of the first 10, 100 and 1,000 items.
        spare: estimated items scored exactly per item of a list of ten.

    """

    depths: tuple[int, int, int] = (64, 128, 256)
    spare: int = 4

    def scored(self, k: int) -> int:
        """Return how many of the best estimates to score exactly for a list of k.

        Only items near its end can be misplaced by the estimates, so a long list needs few more.
        """
        return k + k // 2 + LISTS[0] * self.spare

    def depth(self, items: float) -> int:
        """Return how many blocks hold nearly all of the first `items`."""
        low, middle, high = self.depths
        power = math.log10(max(items, LISTS[0])) - 1
        first, second = (low, middle) if power <= 1 else (middle, high)
        slope = max(math.log(second / first), _LEAST_SLOPE) if second > first else _LEAST_SLOPE
        return math.ceil(first * math.exp(slope * (power if power <= 1 else power - 1)))


@dataclass(frozen=True)
class Loose:
    """Items that are in no block: their places, and their vectors `[n, D]`."""

    places: Indices
    rows: Floats


@dataclass(frozen=True)
class _Condensed:
    """The codes of a condition's survivors, side by side in the order of their places."""

    codes: Tensor  # [n, D]
    scales: Tensor  # [n]
    blocks: Tensor  # [n]
    slots: Tensor  # [n] positions among the codes of all items


class Scan:
    """Finds the best items of a query in blocks."""

    def __init__(
        self, blocks: Blocks, vectors: Vectors, loose: Loose, settings: ScanSettings
    ) -> None:
        self.blocks, self.vectors, self.loose, self.settings = blocks, vectors, loose, settings
        self._centres = blocks.centres.numpy()
        self.spreads = blocks.centres[:, -1].contiguous() * REACH

    def best(self, q: Floats, k: int, allowed: Survivors | None, out: Indices) -> Found:
        """Return places and scores of up to k items, best first.

        Args:
            q: the query `[D]`.
            k: at least 1.
            allowed: the items that may be shown; all if None.
            out: places to leave out.

        """
        norm = math.sqrt(float(q @ q))
        bounds = self._centres @ np.append(q, np.float32(norm * REACH))  # [C]
        one = _Query(
            self,
            q=q,
            norm=norm,
            bounds=torch.from_numpy(bounds),
            k=k,
            allowed=allowed,
            out=out,
        )
        found = one.loose()
        if allowed is not None and allowed.scattered:
            return one.everything(found)
        order, done, count, fitting = None, 0, len(bounds), 0
        listed = k + len(out)
        share = 1.0 if allowed is None else max(allowed.count, 1) / len(self.vectors)
        want = self.settings.depth(listed / share)
        while want * _HALF < count:
            cells = one.bounds.topk(want).indices if order is None else order[done:want]
            values, places, more = one.estimated(cells)
            found, fitting = one.better(found, values, places), fitting + more
            if allowed is None and len(found[0]) == k:
                return found
            # Where fewer of the items nearby fulfil the condition, the list reaches further.
            needed = self.settings.depth(listed * want * self.blocks.size / max(fitting, 0.1))
            if needed <= want * _CLOSE and len(found[0]) == k:
                return found
            if allowed is not None and self._is_scattered(needed, allowed):
                allowed.scattered = True
                break
            order = one.bounds.argsort(descending=True) if order is None else order
            done, want = want, max(min(needed, _GROWTH * want), want + 1)
        return one.everything(one.loose())

    def _is_scattered(self, needed: int, allowed: Survivors) -> bool:
        few = allowed.count * _CONDENSED <= len(self.vectors)
        return few and needed * self.blocks.size > _WASTE * allowed.count

    def condensed(self, allowed: Survivors) -> _Condensed:
        """Return the codes of the survivors of a condition."""
        size = allowed.count * (self.vectors.width + 16)
        return allowed.derived((self.blocks, "codes"), lambda: self._condense(allowed), size)

    def _condense(self, allowed: Survivors) -> _Condensed:
        blocks, (slots, coded) = self.blocks, self._slots
        at = slots.filter(allowed.bits & coded).to_numpy(writable=True)
        codes = torch.from_numpy(blocks.codes.flatten(0, 1).numpy().take(at, 0))
        cells = torch.from_numpy(at // np.int32(blocks.size))
        scales = blocks.scales.index_select(0, cells)
        return _Condensed(codes, scales, cells, torch.from_numpy(at))

    @cached_property
    def _slots(self) -> tuple[pl.Series, pl.Series]:
        """Position `[N]` of each item among the codes, and whether it is in a block at all."""
        places = self.blocks.places.view(-1).numpy()
        slots = np.full(len(self.vectors), -1, np.int32)
        slots[places] = np.arange(len(places), dtype=np.int32)
        return pl.Series(slots), pl.Series(slots >= 0)


class _Query:
    """One query on its way.

    Args:
        scan: where to look.
        q: the query `[D]`.
        norm: its length.
        bounds: `[C]` scores that the blocks' best items may have.
        k: at least 1.
        allowed: the items that may be shown; all if None.
        out: places to leave out.

    """

    def __init__(
        self,
        scan: Scan,
        *,
        q: Floats,
        norm: float,
        bounds: Tensor,
        k: int,
        allowed: Survivors | None,
        out: Indices,
    ) -> None:
        self.scan, self.q, self.bounds, self.k = scan, q, bounds, k
        self.norm, self.allowed, self.out = norm, allowed, out
        self.tensor = torch.from_numpy(q)
        self.base = bounds.sub(scan.spreads, alpha=norm)  # [C] scores of the blocks' means
        self.take = scan.settings.scored(k) + len(out)

    def estimated(self, cells: Tensor | None) -> tuple[Tensor, Tensor, int]:
        """Return the highest estimates in some blocks, their places, and how many items fit.

        Args:
            cells: numbers of the blocks; all of them if None.

        """
        blocks, places, base = self.scan.blocks, self.scan.blocks.places, self.base
        if cells is not None:
            places, base = places.index_select(0, cells), base.index_select(0, cells)
        values = blocks.estimates(self.tensor, base, cells)
        places, count = places.view(-1), values.numel()
        if self.allowed is not None:
            fits = torch.from_numpy(self.allowed.mask).index_select(0, places)
            values = torch.where(fits.view(values.shape), values, -torch.inf)
            count = int(fits.count_nonzero())
        return *self.highest(values, places), count

    def everything(self, found: Found) -> Found:
        """Return the best of the items found so far and those of all blocks."""
        if self._may_condense():
            return self.better(found, *self.condensed(self.base))
        want, done = self._worth(), 0
        if want * _HALF >= len(self.scan.blocks):
            return self.better(found, *self.estimated(None)[:2])
        peaks = self.scan.blocks.peaks(self.tensor, self.base)
        while done < len(peaks):
            for cells in peaks.topk(want).indices[done:].split(_AT_ONCE):
                found = self.better(found, *self.estimated(cells)[:2])
            least = _least(found, self.k)
            needed = len(peaks) if math.isinf(least) else int((peaks >= least).sum())
            if needed <= want:
                break
            done, want = want, needed
        return found

    def _worth(self) -> int:
        """Return how many blocks may hold the items worth an exact score."""
        if self.allowed is None:
            return self.take
        return int(self.take * len(self.scan.vectors) / max(self.allowed.count, 1)) + 1

    def _may_condense(self) -> bool:
        one = self.allowed
        return one is not None and one.count * _CONDENSED <= len(self.scan.vectors)

    def condensed(self, base: Tensor) -> tuple[Tensor, Tensor]:
        """Return the highest estimates among the survivors of the condition, and their places."""
        kept = self.scan.condensed(self.allowed)  # type: ignore[arg-type]
        whole, step = products(self.tensor, kept.codes)
        values = torch.addcmul(base.index_select(0, kept.blocks), whole, kept.scales * step)
        best, slots = self.highest(values, kept.slots)
        return best, self.scan.blocks.places.view(-1).index_select(0, slots)

    def highest(self, values: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return the estimates worth an exact score, and their places (or slots)."""
        flat = values.view(1, -1)
        at = torch.from_numpy(largest_columns(flat.numpy(), self.take)[0])
        return flat[0].index_select(0, at), places.index_select(0, at)

    def better(self, found: Found, values: Tensor, places: Tensor) -> Found:
        """Return the best of the items found so far and those at `places`, scored exactly."""
        at = places.numpy().astype(np.int64)
        if self.allowed is not None:
            at = at[values.numpy() > -np.inf]
        if len(self.out):
            at = at[~np.isin(at, self.out)]
        scores = self.scan.vectors.rows(at).numpy() @ self.q
        if len(found[0]):
            at, scores = np.concatenate([found[0], at]), np.concatenate([found[1], scores])
        first = np.argsort(-scores, kind="stable")[: self.k]
        return at[first], scores[first]

    def loose(self) -> Found:
        """Return the best items that are in no block."""
        loose = self.scan.loose
        places, scores = loose.places, loose.rows @ self.q
        kept = np.ones(len(places), bool) if self.allowed is None else self.allowed.mask[places]
        if len(self.out):
            kept &= ~np.isin(places, self.out)
        if not kept.all():
            places, scores = places[kept], scores[kept]
        if len(places) > self.k:
            some = np.argpartition(scores, len(scores) - self.k)[len(scores) - self.k :]
            places, scores = places[some], scores[some]
        return places, scores


def _least(found: Found, k: int) -> float:
    return float(found[1][k - 1]) if len(found[0]) >= k else -math.inf
