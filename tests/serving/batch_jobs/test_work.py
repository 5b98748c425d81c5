"""The part of one partition."""

import errno
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import DataError, RunError
from crosstower.serving.batch_jobs.partitions import Partition
from crosstower.serving.batch_jobs.work import write_part

from .copying import Job


def test_a_part_is_written_whole(job: Job) -> None:
    job.output.begin()
    rows: list[int] = []
    facts = write_part(job.work, job.output, job.partitions[1], rows.append)
    assert (facts.read, facts.written, facts.counts) == (27, 27, {"even": 13})
    assert rows == [27]
    assert pl.read_parquet(job.output.part(1))["id"].to_list() == list(range(27, 54))


def test_a_bad_row_names_the_partition(job: Job) -> None:
    job.output.begin()
    pl.DataFrame({"id": [*range(60), -1, *range(61, 100)]}).write_parquet(job.work.data)
    with pytest.raises(DataError, match=r"partition 2 \(.*rows\.parquet, rows 54 to 80\): .*below"):
        write_part(job.work, job.output, job.partitions[2], lambda rows: None)
    assert not job.output.part(2).exists()


def test_a_full_disk_is_told_with_the_remedy(job: Job) -> None:
    def full(_partition: Partition) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    job.output.begin()
    with pytest.raises(RunError, match=r"part-00000\.parquet: cannot be written: No .*free space"):
        write_part(job.faulty(full), job.output, job.partitions[0], lambda rows: None)
    assert [Path(p).name for p in job.output.folder.iterdir()] == ["_job.json"]
