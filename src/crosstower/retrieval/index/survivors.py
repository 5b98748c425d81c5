"""The items that fulfil a condition, kept for the next search with the same condition."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstower.data.filters.filter import canonical_filter
from crosstower.values.arrays import Indices

Mask = NDArray[np.bool_]
MOST_BYTES, MOST_CONDITIONS = 128 * 2**20, 256
_MOST_TEXTS, _SHORT = 1_024, 1_000


class Survivors:
    """Items that may be shown, and what searches have derived from them.

    `searches` counts those of an approximate index; `scattered` is set by it where the survivors
    lie in so many of its blocks that they are better scanned by themselves.

    Args:
        mask: `[N]` which items they are.

    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.count = int(np.count_nonzero(mask))
        self.searches, self.scattered = 0, False
        self._made: dict[Hashable, tuple[Any, int]] = {}

    @cached_property
    def places(self) -> Indices:
        """Indices of the items, ascending."""
        return np.flatnonzero(self.mask)

    @property
    def bytes(self) -> int:
        """Memory in bytes."""
        return 2 * len(self.mask) + 8 * self.count + sum(size for _, size in self._made.values())

    def made(self, key: Hashable, make: Callable[[], Any], size: int) -> Any:
        """Return what `make` gives, made once per key; `size` is its memory in bytes."""
        if key not in self._made:
            self._made[key] = (make(), size)
        return self._made[key][0]


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

    def get(self, where: str | None, make: Callable[[], Mask]) -> Survivors:
        """Return the survivors of a condition; `make` gives their mask if they are not kept.

        Raises:
            QueryError: the condition has a syntax error.

        """
        key = None if where is None else self._name(where)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = self._kept[key] = Survivors(make())
        total = sum(one.bytes for one in self._kept.values())
        while len(self._kept) > 1 and (
            total > self.most_bytes or len(self._kept) > MOST_CONDITIONS
        ):
            total -= self._kept.popitem(last=False)[1].bytes
        return found

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
