"""EASE^R as a source of candidates."""

from __future__ import annotations

from typing import cast

from pydantic import Field

from crosstower.retrieval.baselines.baseline import histories_of
from crosstower.retrieval.baselines.ease import Ease
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


class EaseOptions(Neighbours):
    """Options of EASE^R."""

    neighbours: int = Field(
        default=200, ge=1, le=10_000, description="Weights stored per item, the strongest ones."
    )
    l2: float | None = Field(
        default=None, gt=0, description="λ; unset: chosen on the validation queries."
    )


@register_source("ease")
class EaseSource(NeighbourSource):
    """Items by X·B with the strongest weights of each row of B (`Ease`)."""

    Options = EaseOptions

    @classmethod
    def fit(cls, options: EaseOptions, rows: SourceRows) -> Arrays:
        """Return the table of weights.

        Raises:
            DataError: the catalogue is too large for the N x N matrix.

        """
        if options.l2 is None:
            model = cast("Ease", rows.baseline("ease"))
        else:
            model = Ease.fit(histories_of(*rows.pairs, shape=rows.shape), l2=options.l2)
        return table_of(model.weights, options.neighbours)

    def weigh(self, history: Indices) -> tuple[Indices, Floats]:
        """Return each item of a history once, all with the same weight."""
        return each_once(history)
