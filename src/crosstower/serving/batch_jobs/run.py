"""Run a batch job: divide its rows, do the partitions that are missing, and add up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from crosstower.data.progress import OnProgress, no_progress
from crosstower.errors import QueryError, RunError, notify
from crosstower.recipe.arguments import count_of
from crosstower.serving.batch_jobs.output import JobFacts, OutputFolder
from crosstower.serving.batch_jobs.part_files import PartFacts
from crosstower.serving.batch_jobs.partitions import Partition, total_rows
from crosstower.serving.batch_jobs.processes import Event, in_processes, in_this_process
from crosstower.serving.batch_jobs.ray_cluster import on_ray
from crosstower.serving.batch_jobs.work import BatchWork
from crosstower.values.addresses.address import Place, place_of

Engine = Literal["local", "ray"]
"""Where workers run: processes of this machine, or a Ray cluster."""


@dataclass(frozen=True)
class JobSummary:
    """Totals of a finished job.

    Args:
        output: folder of the parts.
        partitions: number of them.
        kept: partitions that an earlier call had finished.
        read: rows read, such as users.
        written: rows written.
        counts: events by name, such as unknown users.
        seconds: of this call.
        rows_per_second: rows that this call read per second.

    """

    output: str
    partitions: int
    kept: int
    read: int
    written: int
    counts: Mapping[str, int]
    seconds: float
    rows_per_second: float

    def plain(self) -> dict[str, Any]:
        """Return the totals as plain data."""
        return asdict(self)


def run_job(
    work: BatchWork,
    facts: JobFacts,
    partitions: Sequence[Partition],
    output: str | Place,
    *,
    unit: str = "rows",
    processes: int = 1,
    engine: Engine = "local",
    force: bool = False,
    on_progress: OnProgress = no_progress,
) -> JobSummary:
    """Do the partitions of a job that have no part yet, and return the totals.

    Parts appear whole, and the file `_SUCCESS` appears last. The same call continues a job that was
    stopped.

    Args:
        work: of the job.
        facts: of the job; those of an earlier call must be the same.
        partitions: of the rows to read.
        output: path or address of the folder of the parts.
        unit: name of the rows, for progress.
        processes: number of workers; 1 works in this process.
        engine: local, or ray for the workers of a cluster, which opens the model and reads and
            writes the rows by the same paths or addresses.
        force: remove the output of another job.
        on_progress: called with the rows read.

    Raises:
        QueryError: an option is wrong.
        RunError: the folder has the output of another job, or cannot be written.
        CrosstowerError: a partition cannot be done; names it.

    """
    count_of("processes", processes, error=QueryError)
    if engine == "ray" and processes > 1:
        raise QueryError("--processes: for --engine local; a Ray cluster has its own workers")
    folder = OutputFolder(place_of(absolute(output), error=RunError), facts)
    start = time.perf_counter()
    with folder.locked():
        done = folder.begin(force=force)
        kept = dict(done)
        todo = [partition for partition in partitions if partition.number not in done]
        if 0 < len(todo) < processes:
            notify([_few_parts(len(todo), processes)])
        total, before = total_rows(partitions), sum(one.read for one in done.values())
        shown = before
        on_progress(unit, shown, total)

        def note(event: Event) -> None:
            nonlocal shown
            if isinstance(event, int):
                shown += event
                on_progress(unit, shown, total)
            else:
                done[event[0]] = event[1]

        if engine == "ray":
            on_ray(work, folder, todo, note)
        elif processes == 1:
            in_this_process(work, folder, todo, note)
        else:
            in_processes(work, folder, todo, note, processes=processes)
        summary = _finished(folder, done, kept, time.perf_counter() - start)
    return replace(summary, output=str(output))


def _few_parts(parts: int, processes: int) -> str:
    what = "1 part is" if parts == 1 else f"{parts:,} parts are"
    return (
        f"{what} left for {processes:,} workers; for more parts, start over with a smaller"
        " --partition-size, and with Parquet files, as others are not divided"
    )


def absolute(place: str | Place) -> str:
    """Return a path from the root, so that workers elsewhere find it, or an address, as text."""
    found = place_of(place, error=RunError)
    return str(Path.cwd() / found) if isinstance(found, Path) else str(found)


def _finished(
    folder: OutputFolder,
    done: Mapping[int, PartFacts],
    kept: Mapping[int, PartFacts],
    seconds: float,
) -> JobSummary:
    """Write `_SUCCESS` and return the totals."""
    if len(done) != folder.facts.partitions:  # a guard: no executor may forget one
        raise RunError(f"{folder.folder}: {len(done)} of {folder.facts.partitions} parts were made")
    counts = Counter[str]()
    for one in done.values():
        counts.update(one.counts)
    read, before = (sum(one.read for one in parts.values()) for parts in (done, kept))
    summary = JobSummary(
        output=str(folder.folder),
        partitions=len(done),
        kept=len(kept),
        read=read,
        written=sum(one.written for one in done.values()),
        counts=dict(counts),
        seconds=round(seconds, 3),
        rows_per_second=round((read - before) / max(seconds, 1e-9), 1),
    )
    per_part = [
        {"part": folder.part(n).name, "read": one.read, "written": one.written}
        for n, one in sorted(done.items())
    ]
    names = ("partitions", "read", "written", "counts")
    folder.finish({n: summary.plain()[n] for n in names} | {"parts": per_part})
    return summary
