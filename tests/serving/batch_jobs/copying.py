"""A job that copies rows, with faults that processes can be sent."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.serving.batch_jobs.output import JobFacts, OutputFolder
from crosstower.serving.batch_jobs.part_files import PartWriter
from crosstower.serving.batch_jobs.partitions import Partition, part_of
from crosstower.serving.batch_jobs.work import OnRows

FACTS = JobFacts(
    job="copy",
    model="run a",
    model_digest="aa",
    input="rows.parquet",
    input_digest="bb",
    settings={"k": 3},
    partitions=4,
)


@dataclass(frozen=True)
class Copy:
    """Copies the column `id`; `fault` is called with each partition before it is done."""

    data: str
    fault: Callable[[Partition], None] | None = None

    def open(self) -> "Copy":
        return self

    def write(self, partition: Partition, part: PartWriter, on_rows: OnRows) -> None:
        if self.fault is not None:
            self.fault(partition)
        for chunk in part_of(open_source(self.data), partition).chunks(["id"]):
            if (chunk.frame["id"] < 0).any():
                raise DataError(f"{chunk.origin}: id below 0")
            part.write(chunk.frame)
            part.read += chunk.frame.height
            part.counts["even"] += int((chunk.frame["id"] % 2 == 0).sum())
            on_rows(chunk.frame.height)


@dataclass(frozen=True)
class Job:
    """A job to copy 100 rows in 4 partitions."""

    work: Copy
    partitions: list[Partition]
    output: OutputFolder

    def faulty(self, fault: Callable[[Partition], None]) -> Copy:
        return replace(self.work, fault=fault)

    def rows(self) -> list[int]:
        """Return the ids of all parts, in their order."""
        parts = sorted(self.output.folder.glob("part-*.parquet"))
        return [i for part in parts for i in pl.read_parquet(part)["id"].to_list()]


@dataclass(frozen=True)
class KillOnce:
    """Kills the process that works on a partition, at the first attempt or at each."""

    folder: Path
    number: int
    always: bool = False

    def __call__(self, partition: Partition) -> None:
        mark = self.folder / f".killed-{partition.number}"
        if partition.number == self.number and (self.always or not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Wait:
    """Makes a partition wait until a file is there."""

    path: Path
    number: int

    def __call__(self, partition: Partition) -> None:
        while partition.number == self.number and not self.path.exists():
            time.sleep(0.02)


def crash(_partition: Partition) -> None:
    """Fail by a mistake in the program."""
    raise ZeroDivisionError("a mistake")
