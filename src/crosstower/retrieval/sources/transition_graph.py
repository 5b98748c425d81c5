"""The transition graph as a source of candidates."""

from __future__ import annotations

from typing import Self, cast

import numpy as np
from pydantic import Field, model_validator

from crosstower.retrieval.baselines.transitions import TransitionGraph, recency_weights
from crosstower.retrieval.sources.candidate_source import Arrays
from crosstower.retrieval.sources.neighbours import Neighbours, NeighbourSource, table_of
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.values.arrays import Floats, Indices


class TransitionOptions(Neighbours):
    """Options of the transition graph."""

    window: int | None = Field(
        default=None,
        ge=1,
        description="Longest step from an item to a later one; unset: chosen on the validation"
        " queries.",
    )
    decay: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Weight of a step relative to one shorter by one; needs window.",
    )
    recency: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Weight of an item of the history relative to the next newer one.",
    )

    @model_validator(mode="after")
    def _decay_has_a_window(self) -> Self:
        if "decay" in self.model_fields_set and self.window is None:
            raise ValueError("decay: needs window, such as window: 3; set it, or drop decay")
        return self


@register_source("transition_graph")
class TransitionSource(NeighbourSource):
    """Items that followed the newest items of the history (`TransitionGraph`)."""

    Options = TransitionOptions

    @classmethod
    def fit(cls, options: TransitionOptions, rows: SourceRows) -> Arrays:
        """Return the table of transitions."""
        if options.window is None:
            model = cast("TransitionGraph", rows.baseline("transition_graph"))
        else:
            model = TransitionGraph.fit(
                rows.histories,
                items=len(rows.items),
                window=options.window,
                decay=options.decay,
            )
        return table_of(model.weights, options.neighbours)

    def weigh(self, history: Indices) -> tuple[Indices, Floats]:
        """Return each item of a history once, with the sum of its weights recency^m."""
        weights = recency_weights(np.arange(len(history))[::-1], self.options.recency)
        items, inverse = np.unique(history, return_inverse=True)
        total = np.bincount(inverse, weights).astype(np.float64)
        return items[total > 0], total[total > 0]
