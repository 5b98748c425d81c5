"""The items of an index: their ids, attributes, and which of them are still there."""

from __future__ import annotations

import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crosstower.data.filters.filter import parse_filter
from crosstower.data.filters.text import named
from crosstower.data.sources.frames import series_of
from crosstower.errors import QueryError, RunError, first_line
from crosstower.recipe.own_columns import MARK
from crosstower.retrieval.index.survivors import Conditions, Survivors
from crosstower.values.arrays import Indices
from crosstower.values.columns import to_ids
from crosstower.values.ids import id_of
from crosstower.values.lookup import places_of_ids

_ID = "item_id"
_OWN = f"{MARK}id"
_FEW = 50  # items whose cells are read one by one


class Catalogue:
    """Items by place: place i of the vectors is row i here. A removed item keeps its place.

    >>> films = Catalogue(["alien", "brazil", "cube"], pl.DataFrame({"year": [1979, 1985, 1997]}))
    >>> films.allowed("year < 1990").tolist()
    [0, 1]
    >>> films.remove(["alien"]).tolist(), len(films), films.places_of(["cube", "dune"]).tolist()
    ([0], 2, [2, -1])

    Args:
        ids: item ids, integers or text, each once.
        attributes: columns to filter by, a row an item.

    Raises:
        QueryError: an id is missing or there twice, or the attributes have other rows.

    """

    def __init__(self, ids: Any, attributes: pl.DataFrame | None = None) -> None:
        series = to_ids(_ID, _series(ids)).alias(_ID)
        attributes = pl.DataFrame() if attributes is None else attributes
        if attributes.width and attributes.height != len(series):
            raise QueryError(
                f"attributes: {attributes.height:,} rows for {len(series):,} items; each needs one"
            )
        if series.null_count():
            raise QueryError(
                f"item ids: row {series.is_null().arg_max()} has none; every item needs one"
            )
        twice = series.filter(series.is_duplicated())
        if len(twice):
            raise QueryError(f"item ids: {twice[0]!r} occurs twice; keep one row per item")
        self.ids, self.attributes = series, attributes
        self.active_mask = np.ones(len(series), dtype=bool)
        self._count = len(series)
        self._conditions = Conditions()

    def __len__(self) -> int:
        """Return the number of items, without removed ones."""
        return self._count

    @property
    def kinds(self) -> dict[str, pl.DataType]:
        """Names and types of the columns that a condition may name: attributes and the id."""
        return {_ID: self.ids.dtype} | dict(self.attributes.schema)

    @cached_property
    def flags(self) -> frozenset[str]:
        """Attributes whose known values are 0 and 1, or booleans."""
        found = (values for values in self.attributes if values.null_count() < len(values))
        return frozenset(values.name for values in found if _is_flag(values))

    def ids_at(self, places: Indices) -> list[Any]:
        """Return the canonical ids of items."""
        if len(places) <= _FEW:  # cell by cell, without a query engine
            found = [self.ids[place] for place in places.tolist()]
        else:
            found = self.ids.gather(places).to_list()
        return found if self.ids.dtype != pl.String else [id_of(i) for i in found]

    def attributes_at(self, places: Indices) -> list[dict[str, Any]]:
        """Return the attributes of items, a dictionary each."""
        if len(places) <= _FEW:
            return [self.attributes.row(place, named=True) for place in places.tolist()]
        return self.attributes[places].to_dicts()

    def column(self, name: str) -> pl.Series:
        """Return a column of all items, attributes or the id."""
        return self.ids if name not in self.attributes.columns else self.attributes[name]

    @property
    def all_active(self) -> bool:
        """Whether no item was removed."""
        return self._count == len(self.active_mask)

    def has_order_of(self, other: Catalogue) -> bool:
        """Return whether another catalogue has the same items in the same places."""
        return self.all_active and self.ids.equals(other.ids)

    def places_of(self, ids: Any) -> Indices:
        """Return the place of each id, -1 for an unknown one."""
        active_mask = np.append(
            np.flatnonzero(self.active_mask), -1
        )  # the last one stands for place -1
        return active_mask[
            places_of_ids(self.ids.filter(pl.Series(self.active_mask)), _series(ids))
        ]

    def survivors(self, where: str | None) -> Survivors | None:
        """Return the items that may be shown; None if all may.

        They are kept for the next search with the same condition, until items change.

        Args:
            where: a condition; None if there is none.

        Raises:
            QueryError: the condition is wrong.

        """
        if where is None and self.all_active:
            return None
        return self._conditions.get(where, lambda: self._evaluated(where))

    def allowed(self, where: str | None) -> Indices:
        """Return the places, ascending, of the items that fulfil a condition.

        Raises:
            QueryError: the condition is wrong.

        """
        found = self.survivors(where)
        return np.arange(len(self.active_mask)) if found is None else found.places

    def fits(self, where: str | None) -> NDArray[np.bool_]:
        """Return which places `[N]` have an item, one that fulfils a condition if there is one.

        Raises:
            QueryError: the condition is wrong.

        """
        found = self.survivors(where)
        return self.active_mask if found is None else found.mask

    def shared(self) -> Catalogue:
        """Return a catalogue of the same items from which others can be removed."""
        other = copy.copy(self)
        other.active_mask, other._conditions = self.active_mask.copy(), Conditions()
        return other

    def drop(self, places: Indices) -> None:
        """Remove the items at `places`."""
        self.active_mask[places] = False
        self._changed()

    def _evaluated(self, where: str | None) -> pl.Series:
        """Return a mask `[N]` of the existing items that match a condition."""
        if where is None:
            return pl.Series(self.active_mask)
        table = self.attributes
        if _ID not in table.columns:
            table = table.hstack([self.ids])
        condition = parse_filter(where, dict(table.schema)).alias("fits")
        try:
            fits = table.select(condition)["fits"]
        except pl.exceptions.PolarsError as error:
            reason = first_line(error)
            raise QueryError(f"{named(where)}: cannot be applied to the items: {reason}") from None
        return fits if self.all_active else fits & pl.Series(self.active_mask)

    def _changed(self) -> None:
        self._count = int(np.count_nonzero(self.active_mask))
        self._conditions.clear()

    def extend(self, other: Catalogue) -> None:
        """Put others behind these items; their ids replace the same ones here.

        Raises:
            QueryError: the attributes have other columns or types; nothing has changed then.

        """
        if dict(other.attributes.schema) != dict(self.attributes.schema):
            raise QueryError(
                f"attributes: expected {_words(self.attributes)}, got {_words(other.attributes)}"
            )
        replaced = self.places_of(other.ids)
        texts = [self.ids, other.ids]
        if self.ids.dtype != other.ids.dtype:
            texts = [ids.cast(pl.String) for ids in texts]
        self.ids = pl.concat(texts)
        self.attributes = pl.concat([self.attributes, other.attributes])
        self.active_mask = np.concatenate([self.active_mask, other.active_mask])
        self.drop(replaced[replaced >= 0])

    def remove(self, ids: Any) -> Indices:
        """Take items out and return their places.

        Raises:
            QueryError: an id is unknown; nothing has been removed then.

        """
        places = self.places_of(ids)
        if (places < 0).any():
            unknown = _series(ids)[int(np.argmax(places < 0))]
            raise QueryError(f"no item {unknown!r} in the index; nothing was removed")
        self.drop(places)
        return places

    def take(self, places: Indices) -> Catalogue:
        """Return the items at `places`, in that order."""
        table = self.attributes[places] if self.attributes.width else None
        return Catalogue(self.ids.gather(places), table)

    def save(self, folder: Path) -> None:
        """Write items.parquet; removed items are to be left behind with `taken` before."""
        table = pl.DataFrame([*self.attributes.get_columns(), self.ids.alias(_OWN)])
        table.write_parquet(folder / "items.parquet")

    @staticmethod
    def load(folder: Path) -> Catalogue:
        """Read the files of `save`.

        Raises:
            RunError: the file is missing or damaged.

        """
        path = folder / "items.parquet"
        try:
            table = pl.read_parquet(path)
            return Catalogue(table[_OWN], table.drop(_OWN))
        except (OSError, pl.exceptions.PolarsError, QueryError) as error:
            reason = first_line(error)
            raise RunError(f"{path}: damaged: {reason}; build the index again") from error


def _series(ids: Any) -> pl.Series:
    return ids if isinstance(ids, pl.Series) else series_of(_ID, list(ids))


def _is_flag(values: pl.Series) -> bool:
    if not values.dtype.is_numeric():
        return values.dtype == pl.Boolean
    return bool(values.drop_nulls().is_in(pl.Series([0, 1], dtype=values.dtype)).all())


def _words(table: pl.DataFrame) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in table.schema.items()) or "none"
