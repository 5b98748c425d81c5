"""The retrieval model itself as a source of candidates."""

from __future__ import annotations

from collections.abc import Iterator

from crosstower.recipe.sources import MODEL
from crosstower.retrieval.sources.candidate_source import (
    Arrays,
    CandidateSource,
    NoOptions,
    Part,
    SourceQuery,
)
from crosstower.retrieval.sources.registry import register_source
from crosstower.retrieval.sources.source_rows import SourceRows


@register_source(MODEL)
class TwoTowerSource(CandidateSource):
    """Items whose vectors have the largest inner products with the query's vector.

    The index finds them, for a batch of queries at once; so this class has nothing of its own.
    """

    is_model = True

    @classmethod
    def fit(cls, options: NoOptions, rows: SourceRows) -> Arrays:
        """Return nothing: the model is in the run."""
        del options, rows
        return {}

    def parts(self, query: SourceQuery) -> Iterator[Part]:
        """Yield nothing: the caller searches the index."""
        del query
        return iter(())
