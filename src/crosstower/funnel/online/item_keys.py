"""Values of items by which events are counted, as hashes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.funnel.online.ranker_items import RankerItems, RankerTable
from crosstower.retrieval.online_items import OnlineItems
from crosstower.values.hashing import U64
from crosstower.values.ids import Id, id_of

_MOST_DELETED = 100_000  # items


class ItemKeys:
    """Looks up the keys of items, of deleted ones too, as their events still count.

    `puts` is the number of times that items were put, `moved` that of items put with other keys
    than before.

    Args:
        items: the catalogue.
        ranked: the same items as the ranker reads them, None without a ranker.

    """

    def __init__(self, items: OnlineItems, ranked: RankerTable | None) -> None:
        self._items, self._ranked = items, ranked
        self._names = () if ranked is None else tuple(ranked.keys(np.empty(0, np.int64)))
        self._deleted = OrderedDict[Id | None, tuple[int, ...]]()
        self.puts = self.moved = 0

    def of(self, ids: pl.Series) -> tuple[NDArray[np.bool_], dict[str, U64]]:
        """Return which canonical ids `[n]` are or were items, and their hashes `[n]` by column.

        Hashes are `NO_KEY` for other ids, and where an item lacks the value.
        """
        if self._ranked is None or not self._names:
            return np.zeros(len(ids), dtype=bool), {}
        given = ids.to_list()
        places = self._items.places_of(given)
        if (places < 0).any():  # an item of the index keeps its place there
            places = np.where(places < 0, self._items.history_places(given), places)
        known, keys = places >= 0, self._ranked.keys(places)
        for place in np.flatnonzero(~known) if self._deleted else ():
            found = self._deleted.get(id_of(given[place]))
            if found is not None:
                known[place] = True
                for name, key in zip(self._names, found, strict=True):
                    keys[name][place] = key
        return known, keys

    def put(self, ids: pl.Series, items: RankerItems) -> None:
        """Note items that are about to be put.

        Args:
            ids: canonical, `[n]`.
            items: the same items as the ranker reads them.

        """
        self.puts += 1
        known, before = self.of(ids)
        other = np.zeros(len(ids), dtype=bool)
        for name, keys in before.items():
            other |= keys != items.keys[name]
        self.moved += int((known & other).sum())
        for one in ids if self._deleted else ():
            self._deleted.pop(one, None)

    def delete(self, ids: pl.Series) -> None:
        """Remember the keys of items that are about to be deleted; the index keeps its own."""
        known, keys = self.of(ids)
        newer = self._items.history_places(ids.to_list()) >= len(self._items.catalogue)
        for place in np.flatnonzero(known & newer):
            self._deleted[ids[int(place)]] = tuple(int(keys[name][place]) for name in self._names)
        while len(self._deleted) > _MOST_DELETED:
            self._deleted.popitem(last=False)
