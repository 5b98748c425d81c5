"""Item-kNN as a source of candidates."""

from __future__ import annotations

from typing import cast

from pydantic import Field

from crosstower.retrieval.baselines.baseline import histories_of
from crosstower.retrieval.baselines.item_knn import ItemKnn
from crosstower.retrieval.sources.candidate_source import Arrays
from crosstower.retrieval.sources.neighbours import (
    Neighbours,
    NeighbourSource,
    each_once,
    table_of,
)
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.values.arrays import Floats, Indices


class ItemKnnOptions(Neighbours):
    """Options of item-kNN."""

    shrink: float | None = Field(
        default=None,
        ge=0,
        description="Added to the denominator of the cosine; unset: chosen on the validation"
        " queries.",
    )


@register_source("item_knn")
class ItemKnnSource(NeighbourSource):
    """Items by the sum of their shrunk cosines with the items of the history (`ItemKnn`)."""

    Options = ItemKnnOptions

    @classmethod
    def fit(cls, options: ItemKnnOptions, rows: SourceRows) -> Arrays:
        """Return the table of neighbours."""
        if options.shrink is None:
            model = cast("ItemKnn", rows.baseline("item_knn"))
        else:
            histories = histories_of(*rows.pairs, shape=rows.shape)
            model = ItemKnn.fit(histories, neighbours=options.neighbours, shrink=options.shrink)
        return table_of(model.similarity, options.neighbours)

    def weigh(self, history: Indices) -> tuple[Indices, Floats]:
        """Return each item of a history once, all with the same weight."""
        return each_once(history)
