"""The work of a batch job: opened once per process, done one partition at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from crosstower.errors import CrosstowerError, RunError
from crosstower.serving.batch_jobs.output import OutputFolder
from crosstower.serving.batch_jobs.part_files import PartFacts, PartWriter, part_file
from crosstower.serving.batch_jobs.partitions import Partition

OnRows = Callable[[int], None]
"""Called with the number of rows read since the last call."""


class Worker(Protocol):
    """Has models and data open, and writes the part of a partition."""

    def write(self, partition: Partition, part: PartWriter, on_rows: OnRows) -> None:
        """Read the rows of a partition and write its part.

        Raises:
            CrosstowerError: a row cannot be used.

        """
        ...


class BatchWork(Protocol):
    """A job as plain data, which can be sent to another process."""

    def open(self) -> Worker:
        """Open models and data.

        Raises:
            CrosstowerError: they are damaged, or have changed.

        """
        ...


def write_part(
    worker: Worker, output: OutputFolder, partition: Partition, on_rows: OnRows
) -> PartFacts:
    """Write the part of a partition, whole or not at all.

    Args:
        worker: does the work.
        output: folder of the parts.
        partition: to work on.
        on_rows: called as rows are read.

    Raises:
        CrosstowerError: a row cannot be used; names the partition.
        RunError: the part cannot be written, as the disk is full.

    """
    path = output.part(partition.number)
    try:
        with part_file(path, output.facts.digest) as part:
            worker.write(partition, part, on_rows)
    except CrosstowerError as error:
        raise type(error)(f"partition {partition.number} ({partition.name}): {error}") from error
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror or error}; finished parts are kept: free"
            " space, and run the same command again"
        ) from error
    return part.facts
