"""Workers of a Ray cluster, which Daft gives one partition at a time."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from crosstower.data.daft_runner import map_pieces
from crosstower.errors import CrosstowerError, RunError
from crosstower.serving.batch_jobs.output import OutputFolder
from crosstower.serving.batch_jobs.part_files import PartFacts
from crosstower.serving.batch_jobs.partitions import Partition
from crosstower.serving.batch_jobs.processes import OnEvent
from crosstower.serving.batch_jobs.work import BatchWork, Worker, write_part

_OPENING = Lock()


class PartMaker:
    """Writes parts in a worker, which opens models and data for its first partition.

    Several threads may call it at once. A model has one user at a time, so each has its own.

    Args:
        work: to do.
        output: folder of the parts, which all workers reach by the same path.

    """

    def __init__(self, work: BatchWork, output: OutputFolder) -> None:
        self._work, self._output = work, output
        self._idle: list[Worker] = []

    def __call__(self, partition: Partition) -> tuple[int, PartFacts]:
        """Write the part of a partition; return its number and facts."""
        with _OPENING:
            worker = self._idle.pop() if self._idle else self._work.open()
        try:
            return partition.number, write_part(worker, self._output, partition, _ignore)
        finally:
            self._idle.append(worker)


def on_ray(
    work: BatchWork, output: OutputFolder, partitions: Sequence[Partition], on_event: OnEvent
) -> None:
    """Do all partitions on the Ray cluster of RAY_ADDRESS, or on a new one of this machine.

    Ray replaces workers that die. If it gives up, the finished parts are kept.

    Args:
        work: to do.
        output: folder of the parts.
        partitions: to work on.
        on_event: called with events of the job.

    Raises:
        DataError: Daft or Ray is not installed.
        RunError: the cluster has failed.
        CrosstowerError: a partition cannot be done; names it.

    """
    if not partitions:
        return
    try:
        for number, facts in map_pieces(PartMaker(work, output), partitions, "ray"):
            on_event(facts.read)
            on_event((number, facts))
    except CrosstowerError:
        raise
    except Exception as error:  # of Ray or Daft, which have many
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise RunError(
            f"the Ray cluster has failed: {reason}; finished parts are kept: run the same command"
            " again"
        ) from error


def _ignore(_rows: int) -> None:
    """Report no rows within a partition."""
