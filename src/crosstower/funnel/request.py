"""Score the candidates of one query, whose own cells are cleaned, encoded and pooled once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import polars.selectors as cs

from crosstower.data.cleaning.cleaner import Cleaner
from crosstower.funnel.rows import RowMaker
from crosstower.ranking.scorer import RAW, CandidateScorer, Scorer, raw_columns
from crosstower.recipe.own_columns import ROW
from crosstower.training.run import Run
from crosstower.values.arrays import Indices


class QueryScorer:
    """Scores items for one query, as `Funnel.score` does for many.

    Args:
        rows: makes the ranker's raw rows, and knows which of their columns the query decides.
        scorer: the ranker.
        cleaner: of whole rows; each side gets its part of it.

    """

    def __init__(self, rows: RowMaker, scorer: Scorer, cleaner: Cleaner) -> None:
        columns = cleaner.schema.columns
        own = rows.sides(cleaner.schema)[0]
        self._rows, self._ranker = rows, CandidateScorer(scorer, own)
        self._query = part_of(cleaner, own, rows, of_query=True)
        others = [name for name in columns if name not in own]
        self._items = part_of(cleaner, others, rows, of_query=False)

    def clean(self, query: pl.DataFrame) -> pl.DataFrame:
        """Return a query's raw row cleaned; without a row if it is left out as bad.

        Raises:
            DataError: a cell is bad, and the recipe does not skip bad rows.

        """
        nothing = np.zeros(1, np.int64)
        source = self._rows.source(query, nothing, nothing)
        return self._query.clean(next(source.chunks(self._query.sources())))

    def score(
        self,
        query: pl.DataFrame,
        cleaned: pl.DataFrame,
        item: Indices,
        *,
        skipped: Counter[str],
        kept: Sequence[str],
    ) -> pl.DataFrame:
        """Return the scores of candidates, as `Funnel.score`.

        Args:
            query: one row of raw columns.
            cleaned: what `clean` made of it.
            item: `[rows]` places in the catalogue, at least one.
            skipped: counts up, by column, the rows that are left out.
            kept: raw columns to keep, some of the scorer's.

        Raises:
            DataError: a cell of an item is bad, and the recipe does not skip bad rows.

        """
        source = self._rows.source(query, np.zeros(len(item), np.int64), item)
        cleaner = replace(self._items, skipped=skipped)
        parts: list[pl.DataFrame] = []
        for chunk in source.chunks(cleaner.sources()):
            items = cleaner.clean(chunk)
            scores = self._ranker.score(cleaned, items).select(~cs.ends_with(RAW))
            raw = raw_columns(kept, cleaned, items)
            parts.append(pl.DataFrame([items[ROW], *scores, *raw]))
        return pl.concat(parts)


def cleaner_of(ranking: Run, scorer: Scorer, skipped: Counter[str] | None = None) -> Cleaner:
    """Return what cleans the raw rows of a ranker; `skipped` counts up those it leaves out."""
    return Cleaner(
        ranking.recipe.schema_,
        scorer.columns,
        on_bad_rows=ranking.recipe.data.on_bad_rows,
        with_labels=False,
        amounts=scorer.amounts,
        skipped=Counter() if skipped is None else skipped,
    )


def part_of(cleaner: Cleaner, columns: Sequence[str], rows: RowMaker, *, of_query: bool) -> Cleaner:
    """Return a cleaner of some columns, and of what else the query, or the item, decides."""
    extras, amounts = (
        [name for name in names if rows.is_of_query(name) == of_query]
        for names in (cleaner.extras, cleaner.amounts)
    )
    schema = cleaner.schema.part(list(columns))
    return replace(cleaner, schema=schema, extras=extras, amounts=amounts)
