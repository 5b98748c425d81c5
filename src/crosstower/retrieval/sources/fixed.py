"""A fixed list of items as a source, such as an editor's choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from crosstower.errors import DataError
from crosstower.recipe.frozen import FrozenModel
from crosstower.retrieval.sources.candidate_source import Arrays, CandidateSource, Part, SourceQuery
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.values.ids import given_id, id_series


class FixedOptions(FrozenModel):
    """Options of a fixed list."""

    items: tuple[int | str, ...] = Field(
        min_length=1, max_length=10_000, description="Ids of items, the first one best."
    )


@register_source("fixed")
class FixedSource(CandidateSource):
    """Items of a list in its order; the score is 1 / position."""

    Options = FixedOptions

    def __init__(self, options: Any, arrays: Arrays) -> None:
        super().__init__(options, arrays)
        self._places = np.asarray(arrays["places"])
        self._scores = 1.0 / np.arange(1, len(self._places) + 1)

    @classmethod
    def fit(cls, options: FixedOptions, rows: SourceRows) -> Arrays:
        """Return the places of the items.

        Raises:
            DataError: an id is not in the catalogue, or occurs twice.

        """
        ids = id_series([given_id("item", item) for item in options.items])
        places = rows.items.places_of(ids)
        if (places < 0).any():
            item = options.items[int(np.argmax(places < 0))]
            raise DataError(
                f"items: {item!r} is not in the catalogue of"
                f" {len(rows.items):,} items; remove it, or add it to retrieval.items"
            )
        twice = ids.filter(ids.is_duplicated())
        if len(twice):
            raise DataError(f"items: {twice[0]!r} occurs twice; keep it once")
        return {"places": places.astype(np.int64)}

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield the list."""
        del query
        yield self._places, self._scores
