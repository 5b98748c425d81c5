"""Raw rows of a source scored chunk by chunk: one row out per row in, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import polars.selectors as cs

from crosstower.data.batch import Batch
from crosstower.data.counters.counted_source import count_matches
from crosstower.data.prefetch import prefetch
from crosstower.data.sources.joins import join_matches
from crosstower.data.sources.source import Chunk, Source, require_columns
from crosstower.data.tally import Tally
from crosstower.errors import DataError, did_you_mean
from crosstower.ranking.row_passes import targets_of
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.own_columns import RAW, ROW, check_kept
from crosstower.recipe.recipe import Recipe


@dataclass(frozen=True)
class RowScorer:
    """Scores the rows of sources as a recipe declares them.

    Args:
        recipe: of the run.
        scorer: its model, calibration and blend.
        columns: raw columns to keep.
        tally: counts scored and skipped rows.

    """

    recipe: Recipe
    scorer: Scorer
    columns: Sequence[str] = ()
    tally: Tally = field(default_factory=Tally)

    def predictions(self, source: Source) -> Iterator[pl.DataFrame]:
        """Yield `columns` and the scores of all rows, null where a bad cell was skipped.

        Raises:
            DataError: a column is missing or has the name of a score, a cell is bad (unless the
                recipe skips them), or a join has no match at all.

        """
        tasks = self.recipe.schema_.tasks
        advice = "keep other columns (--column, columns= in Python), or rename it"
        check_kept(self.columns, tasks, where=source.name, advice=advice)
        for chunk, frame, batch in self.encoded(source, with_labels=False):
            scores = self.scorer.score_encoded(batch, self.scorer.raw(frame))
            scores = _in_place(scores.select(~cs.ends_with(RAW)), frame, chunk)
            kept = {name: chunk.frame[name] for name in self.columns}
            yield pl.DataFrame(kept | scores.to_dict())

    def targets(self, source: Source) -> Iterator[pl.DataFrame]:
        """Yield labels, `columns` and predictions of the good rows, for an evaluation.

        Raises:
            DataError: as `predictions`, or a label is bad.

        """
        for _, frame, batch in self.encoded(source, with_labels=True):
            scores = self.scorer.score_encoded(batch, self.scorer.raw(frame))
            known = targets_of(frame, self.recipe.schema_, list(self.columns))
            yield pl.DataFrame(known.to_dict() | scores.to_dict())

    def encoded(
        self, source: Source, *, with_labels: bool
    ) -> Iterator[tuple[Chunk, pl.DataFrame, Batch]]:
        """Yield chunks with their good rows, cleaned and encoded ahead by a thread.

        Args:
            source: of the rows.
            with_labels: clean the labels as well.

        Raises:
            DataError: as `predictions`.

        """
        self._check_blend(source)
        cleaner = self.scorer.cleaner(
            extras=self.columns,
            on_bad_rows=self.recipe.data.on_bad_rows,
            with_labels=with_labels,
            skipped=self.tally.skipped,
        )
        require_columns(source, cleaner.sources())
        encoder = self.scorer.encoder

        def chunks() -> Iterator[tuple[Chunk, pl.DataFrame, Batch]]:
            for chunk in source.chunks(cleaner.sources()):
                frame = cleaner.clean(chunk)
                yield chunk, frame, encoder.encode(frame)

        for chunk, frame, batch in prefetch(chunks(), depth=1):
            self.tally.add(chunk.frame.height, batch, encoder)
            yield chunk, frame, batch
        self.tally.joins, self.tally.counts = join_matches(source), count_matches(source)
        if self.tally.left_out == self.tally.rows:
            raise DataError(f"{source.name}: no row can be read: {self.tally.cells}")

    def _check_blend(self, source: Source) -> None:
        """Reject rows without a column that only the blend reads, and say how to go without."""
        blend, present = self.scorer.blend, source.columns()
        own = {*self.recipe.served_schema.sources(), *self.columns}
        for name in blend.columns if blend is not None else []:
            if name not in present and name not in own:
                raise DataError(
                    f"{source.name}: no column '{name}'{did_you_mean(name, present)}, which the"
                    " run's blend reads; add it, score without the blend by --no-blend"
                    " (blend=False in Python), or remove the blend: crosstower blend RUN --remove"
                )


def _in_place(scores: pl.DataFrame, frame: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    """Return scores of good rows as scores of all rows of a chunk; null for the others."""
    rows = chunk.frame.height
    if scores.height == rows:
        return scores
    place = np.full(rows, -1)
    place[frame[ROW].to_numpy() - chunk.index] = np.arange(scores.height)
    known = pl.Series(place).replace(-1, None)
    return scores.select(pl.all().gather(known))
