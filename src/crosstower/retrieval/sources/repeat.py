"""Repeat purchases: the items of the user's own history as a source."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crosstower.retrieval.sources.candidate_source import (
    Arrays,
    CandidateSource,
    NoOptions,
    Part,
    SourceQuery,
)
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows


@register_source("repeat")
class RepeatSource(CandidateSource):
    """Items of the history by how often they occur in it, then by how recently.

    It is the personal top frequency of next-basket recommendation (Li et al. 2023,
    "A Next Basket Recommendation Reality Check"). The score is the number of occurrences.
    """

    needs_user = True
    repeats = True

    @classmethod
    def fit(cls, options: NoOptions, rows: SourceRows) -> Arrays:
        """Return nothing: histories are in the run, and those of a server grow."""
        del options, rows
        return {}

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield the items of the history, each once."""
        newest_first = query.history[::-1]
        items, first, counts = np.unique(newest_first, return_index=True, return_counts=True)
        order = np.lexsort((first, -counts))
        yield items[order], counts[order].astype(np.float64)
