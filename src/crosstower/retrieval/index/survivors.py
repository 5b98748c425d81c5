"""The items that fulfil a condition, kept for the next search with the same condition."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.filters.filter import canonical_filter
from crosstower.values.arrays import Indices

Mask = NDArray[np.bool_]
MOST_BYTES, MOST_CONDITIONS = 128 * 2**20, 256
_MOST_TEXTS, _SHORT = 1_024, 1_000


@lru_cache(maxsize=2)
def _numbers(count: int) -> pl.Series:
    return pl.int_range(count, dtype=pl.Int32, eager=True)


class Survivors:
    """Items that may be shown, and the data that searches have derived from them.

    `scattered` is set by an approximate index where the survivors lie in so many of its blocks
    that a scan of only the survivors is faster.

    Args:
        bits: `[N]` booleans without missing ones, True for each such item.
        on_growth: called when more derived data is kept.

    """

    def __init__(self, bits: pl.Series, on_growth: Callable[[], None] | None = None) -> None:
        self.bits, self._on_growth = bits, on_growth
        self.count = int(bits.sum())
        self.scattered = False
        self._once: set[Hashable] = set()
        self._kept: dict[Hashable, tuple[Any, int]] = {}

    @cached_property
    def mask(self) -> Mask:
        """`[N]` True for each item."""
        array = self.bits.rechunk().to_arrow()
        packed = np.frombuffer(array.buffers()[1], np.uint8)  # 10 times as fast as Series.to_numpy
        end = array.offset + len(array)
        return np.unpackbits(packed, count=end, bitorder="little")[array.offset :].view(np.bool_)

    @cached_property
    def places(self) -> Indices:
        """Indices of the items, ascending."""
        # Several times as fast as with NumPy.
        return _numbers(len(self.bits)).filter(self.bits).to_numpy().astype(np.int64)

    @property
    def bytes(self) -> int:
        """Memory in bytes."""
        own = 9 * len(self.bits) // 8 + 8 * self.count
        return own + sum(size for _, size in self._kept.values())

    def derived(self, key: Hashable, derive: Callable[[], Any], size: int) -> Any:
        """Return derived data, kept from its second use on: many conditions never come again.

        Args:
            key: names the data.
            derive: computes it.
            size: its memory in bytes.

        """
        if key in self._kept:
            return self._kept[key][0]
        found = derive()
        if key in self._once:
            self._kept[key] = (found, size)
            if self._on_growth is not None:
                self._on_growth()
        self._once.add(key)
        return found


class Conditions:
    """The survivors of the conditions used last, within limits of number and memory.

    Args:
        most_bytes: memory of all of them; the last one is always kept.

    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[str | None, Survivors] = OrderedDict()
        self._canonical: dict[str, str] = {}

    def __len__(self) -> int:
        """Return the number of conditions kept."""
        return len(self._kept)

    def get(self, where: str | None, evaluate: Callable[[], pl.Series]) -> Survivors:
        """Return the survivors of a condition, which is evaluated if they are not kept.

        Args:
            where: the condition; None stands for the items that were not removed.
            evaluate: returns the booleans `[N]` of the condition.

        Raises:
            QueryError: the condition has a syntax error.

        """
        key = None if where is None else self._name(where)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._kept[key] = Survivors(evaluate(), self._forget_oldest)
        self._forget_oldest()
        return found

    def _forget_oldest(self) -> None:
        """Forget the conditions used longest ago that exceed the limits."""
        total = sum(one.bytes for one in self._kept.values())
        while len(self._kept) > 1 and (
            total > self.most_bytes or len(self._kept) > MOST_CONDITIONS
        ):
            total -= self._kept.popitem(last=False)[1].bytes

    def clear(self) -> None:
        """Forget all of them, because items have changed."""
        self._kept.clear()

    def _name(self, where: str) -> str:
        """Return one name for all spellings of a condition."""
        if len(where) > _SHORT:  # not worth keeping
            return canonical_filter(where)
        if where not in self._canonical:
            if len(self._canonical) >= _MOST_TEXTS:
                self._canonical.clear()
            self._canonical[where] = canonical_filter(where)
        return self._canonical[where]
