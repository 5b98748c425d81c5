"""The items of an online funnel: raw, as vectors, and as the ranker reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from crosstower.errors import DataError, QueryError, did_you_mean
from crosstower.funnel.online.item_keys import ItemKeys
from crosstower.funnel.online.ranker import OnlineRanker
from crosstower.funnel.online.ranker_items import RankerItems, RankerTable
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.retrieval.index.index import ItemIndex
from crosstower.retrieval.index.vectors import Floats
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.popular_items import PopularItems
from crosstower.retrieval.retriever import Retriever
from crosstower.values.fitted import fitted
from crosstower.values.ids import Id, given_id, id_series


@dataclass(frozen=True)
class EncodedItems:
    """Items read and encoded: ids, attributes, vectors `[n, D]`, and the ranker's view of them."""

    ids: pl.Series
    attributes: pl.DataFrame
    vectors: Floats
    ranked: RankerItems | None


class OnlineCatalogue:
    """Items to find and to change.

    `ranked` has them as the ranker reads them, by place; None without a ranker. `id_column` is the
    column of the item's id, `popular` has the items with most training rows, `sources` are those
    of the candidates (None for only the retrieval model), `keys` the values of items by which
    events are counted.

    Args:
        retriever: has the items and encodes them as vectors.
        ranker: encodes them for ranking.
        index: of the items; the retriever's own if None.

    """

    def __init__(
        self, retriever: Retriever, ranker: OnlineRanker | None, index: ItemIndex | None = None
    ) -> None:
        self.retriever, self.ranker = retriever, ranker
        self._item_encoder = retriever.item_encoder
        self.id_column = retrieval_section_of(retriever.run.recipe).item
        catalogue = retriever.catalogue
        index = retriever.index if index is None else index
        self.items = OnlineItems(catalogue, index, lambda: retriever.vectors)
        self.ranked: RankerTable | None = None
        if ranker is not None:
            self.ranked = RankerTable(ranker.items.encode(catalogue.attributes, strict=False))
        self.popular = PopularItems(self.items, retriever.popular_order)
        self.sources = retriever.sources
        self.keys = ItemKeys(self.items, self.ranked)

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> EncodedItems:
        """Return rows read and encoded, to be put; nothing changes.

        Raises:
            QueryError: a row has no id or a column that items do not have.
            DataError: a value is of the wrong type.

        """
        ids, frame = self.checked_rows(rows)
        vectors = self._item_encoder.vectors(frame, "the items")
        ranked = self.ranker.items.encode(frame, strict=True) if self.ranker is not None else None
        return EncodedItems(ids, frame, vectors, ranked)

    def put(self, items: EncodedItems) -> None:
        """Add items of `encode`; they replace those with the same ids."""
        if items.ranked is not None:
            self.keys.put(items.ids, items.ranked)
        kept = self.items.put(items.ids, items.attributes, items.vectors)
        if self.ranked is not None and items.ranked is not None:
            self.ranked.put(items.ranked, kept)

    def put_vectors(self, ids: Sequence[Id], vectors: Floats) -> None:
        """Replace the vectors of items, which keep all else; ids that are not items are ignored.

        Args:
            ids: canonical ids, each once.
            vectors: `[n, D]` of the model of the retriever.

        """
        places = self.items.places_of(ids)
        known = np.flatnonzero(places >= 0)
        if not len(known):
            return
        places = places[known]
        ranked = self.ranked.take(places) if self.ranked is not None else None
        own = id_series(self.items.ids(places))
        self.put(EncodedItems(own, self.items.rows(places), vectors[known], ranked))

    def checked_id(self, name: str, value: Any) -> Id:
        """Return the canonical id of a value; `name` names the value in messages.

        Raises:
            QueryError: it cannot be an id, or is a text although all ids are integers.

        """
        found = given_id(name, value)
        if self.retriever.catalogue.ids.dtype.is_integer() and not isinstance(found, int):
            raise QueryError(f"{name} must be an integer, like all item ids here, got {value!r}")
        return found

    def delete(self, ids: Sequence[str | int]) -> None:
        """Remove items; unknown ids are ignored."""
        gone = self.items.as_ids(ids).drop_nulls().unique()
        self.keys.delete(gone)
        kept = self.items.delete(gone)
        if self.ranked is not None:
            self.ranked.keep(kept)

    def checked_rows(self, rows: Sequence[Mapping[str, Any]]) -> tuple[pl.Series, pl.DataFrame]:
        """Return ids and attributes of rows as typed by the catalogue; of one id the last row.

        Raises:
            QueryError: a row has no id, a column that items do not have, or a value of another
                type.

        """
        schema, name = self.items.schema, self.id_column
        by_id: dict[Id, int] = {}
        for number, row in enumerate(rows):
            _check(number, row, name, schema)
            by_id[self.checked_id(f"items[{number}]: '{name}'", row[name])] = number
        ids = id_series(list(by_id))
        columns = {
            column: _typed(column, {n: rows[n].get(column) for n in by_id.values()}, kind)
            for column, kind in schema.items()
        }
        return ids, pl.DataFrame(columns)


def _check(number: int, row: Mapping[str, Any], name: str, schema: pl.Schema) -> None:
    if row.get(name) is None:
        raise QueryError(f"items[{number}]: no '{name}', which is the id of an item")
    for column in row:
        if column != name and column not in schema:
            names = [name, *schema]
            raise QueryError(
                f"items[{number}]: no column '{column}'{did_you_mean(column, names)}; items have:"
                f" {', '.join(dict.fromkeys(names))}"
            )


def _typed(name: str, values: Mapping[int, Any], kind: pl.DataType) -> pl.Series:
    """Return the values of a column by the number of their row."""
    try:
        if not kind.is_temporal():  # polars reads numbers as its own days or microseconds
            return pl.Series(name, list(values.values()), dtype=kind, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        pass
    found: list[Any] = []
    for number, value in values.items():
        try:
            found.append(fitted(value, kind))
        except (DataError, TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            raise QueryError(f"items[{number}]: '{name}' must be {kind}, got {value!r}") from None
    return pl.Series(name, found, dtype=kind, strict=True)
