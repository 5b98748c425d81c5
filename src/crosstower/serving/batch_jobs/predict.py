"""Score many rows, one partition at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from crosstower.data.counters.counted_source import CountedSource, counted
from crosstower.data.progress import OnProgress, no_progress
from crosstower.data.reading import joined
from crosstower.data.sources.source import Source, open_source, require_columns
from crosstower.ranking.predict import scored_frames, type_steps
from crosstower.ranking.ranker import Ranker
from crosstower.ranking.scorer import Precision
from crosstower.recipe.data import Data
from crosstower.serving.batch_jobs.models import digest_of_ranker
from crosstower.serving.batch_jobs.notes import counts_of, sentences_of
from crosstower.serving.batch_jobs.output import JobFacts
from crosstower.serving.batch_jobs.part_files import PartWriter
from crosstower.serving.batch_jobs.partitions import Partition, digest_of, part_of, partitions_of
from crosstower.serving.batch_jobs.run import Engine, JobSummary, absolute, run_job
from crosstower.serving.batch_jobs.work import OnRows
from crosstower.training.run import Run

PARTITION_ROWS = 1_000_000


def predict_partitions(
    run: str,
    data: str,
    output: str,
    *,
    columns: Sequence[str] | None = None,
    events: str | None = None,
    model: str | None = None,
    seed: int | None = None,
    blend: bool = True,
    precision: Precision = "float32",
    partition_size: int = PARTITION_ROWS,
    processes: int = 1,
    engine: Engine = "local",
    force: bool = False,
    on_progress: OnProgress = no_progress,
) -> tuple[JobSummary, list[str]]:
    """Write predictions as partitioned Parquet; return the totals and notes on the rows.

    The rows of the parts are those that `predict_file` writes into one file. A part has the rows of
    a file, or at most `partition_size` rows of a Parquet file. The same call continues a job
    that was stopped.

    Args:
        run: path or address of a ranking run.
        data: file, folder or glob of raw rows.
        output: path or address of the folder of the parts.
        columns: raw columns to keep; all if None.
        events: log that counters count; those of the recipe if None.
        model: one of the run's models; the main one if None.
        seed: one of the run's seeds; the first if None.
        blend: also write the blend score, if the run has a blend.
        precision: see `Ranker.score`.
        partition_size: largest number of rows of a part.
        processes: number of workers.
        engine: see `run_job`.
        force: remove the output of another job.
        on_progress: called with the rows done.

    Raises:
        RunError: the run cannot be opened, or the output has another job's parts.
        DataError: the rows lack a column or hold a bad cell; names the partition.

    """
    work = PredictWork(
        absolute(run), absolute(data), columns, events, model, seed, blend, precision
    )
    scorer = work.open()
    source = scorer.source
    require_columns(scorer.rows_of(source), scorer.columns)
    partitions = partitions_of(source, size=partition_size)
    facts = JobFacts(
        job="predict",
        model=f"run {run}",
        model_digest=digest_of_ranker(scorer.ranker),
        input=source.name,
        input_digest=digest_of(source),
        settings={
            "columns": None if columns is None else list(columns),
            "events": events,
            "blend": blend,
            "precision": precision,
            "partition_size": partition_size,
            **_digests_of_tables(scorer.ranker.run.recipe.data),
        },
        partitions=len(partitions),
    )
    summary = run_job(
        work,
        facts,
        partitions,
        output,
        processes=processes,
        engine=engine,
        force=force,
        on_progress=on_progress,
    )
    return summary, sentences_of(summary.counts, scorer.ranker, blended=blend)


def _digests_of_tables(data: Data) -> dict[str, str]:
    """Return a digest per joined table and event log."""
    paths = [table.path for table in data.joins] + [log.path for log in data.events if log.path]
    return {f"digest of {path}": digest_of(open_source(path, data.csv)) for path in paths}


@dataclass(frozen=True)
class PredictWork:
    """A job that predicts, as plain data; see `predict_partitions`."""

    run: str
    data: str
    columns: Sequence[str] | None = None
    events: str | None = None
    model: str | None = None
    seed: int | None = None
    blend: bool = True
    precision: Precision = "float32"

    def open(self) -> PartitionScorer:
        """Open the ranker and find the files."""
        run = Run.open(self.run)
        run = run if self.events is None else run.with_events(self.events)
        ranker = Ranker.open(run, model=self.model, seed=self.seed)
        return PartitionScorer(self, ranker, open_source(self.data, run.recipe.data.csv))


@dataclass(frozen=True)
class PartitionScorer:
    """Scores partitions of rows.

    Args:
        work: of the job.
        ranker: scores the rows.
        source: of all rows, without joined tables and counts.

    """

    work: PredictWork
    ranker: Ranker
    source: Source

    def write(self, partition: Partition, part: PartWriter, on_rows: OnRows) -> None:
        """Write the predictions of a partition.

        Raises:
            DataError: a cell is bad, and the recipe does not skip it.

        """
        steps, tally = type_steps(self.ranker, self.work.blend), self.ranker.tally()
        rows = self.rows_of(part_of(self.source, partition))
        for frame in scored_frames(
            self.ranker,
            rows,
            self.columns,
            steps,
            blend=self.work.blend,
            precision=self.work.precision,
            tally=tally,
        ):
            part.write(frame)
            part.read += frame.height
            on_rows(frame.height)
        part.counts.update(counts_of(tally, steps))

    @cached_property
    def columns(self) -> list[str]:
        """The raw columns to keep."""
        if self.work.columns is not None:
            return list(self.work.columns)
        return joined(self.source, self.ranker.run.recipe.data).columns()

    def rows_of(self, source: Source) -> Source:
        """Return rows with the tables that the recipe joins and the events that it counts."""
        recipe = self.ranker.run.recipe
        found = counted(joined(source, recipe.data), recipe)
        if isinstance(found, CountedSource):
            return replace(found, history=self._counted.history)  # read once
        return found

    @cached_property
    def _counted(self) -> Any:
        recipe = self.ranker.run.recipe
        return counted(joined(self.source, recipe.data), recipe)
