"""Workers in processes of their own, killed for real."""

from collections.abc import Sequence

import polars as pl
import pytest

from crosstower.errors import DataError, RunError
from crosstower.serving.batch_jobs.partitions import Partition
from crosstower.serving.batch_jobs.processes import Event, in_processes, in_this_process

from .copying import Copy, Job, KillOnce, crash


def done(job: Job, work: Copy, partitions: Sequence[Partition], processes: int) -> list[Event]:
    events: list[Event] = []
    job.output.begin()
    if processes == 1:
        in_this_process(work, job.output, partitions, events.append)
    else:
        in_processes(work, job.output, partitions, events.append, processes=processes)
    return events


@pytest.mark.parametrize("processes", [1, 2])
def test_all_partitions_are_done(job: Job, processes: int) -> None:
    events = done(job, job.work, job.partitions, processes)
    assert sum(event for event in events if isinstance(event, int)) == 100
    assert {event[0] for event in events if isinstance(event, tuple)} == {0, 1, 2, 3}
    assert job.rows() == list(range(100))
    assert done(job, job.work, [], processes) == []


@pytest.mark.slow
def test_the_partition_of_a_killed_worker_is_done_again(job: Job) -> None:
    work = job.faulty(KillOnce(job.output.folder, 1))
    events = done(job, work, job.partitions, 2)
    assert (job.output.folder / ".killed-1").exists()
    assert sorted(event[0] for event in events if isinstance(event, tuple)) == [0, 1, 2, 3]
    assert job.rows() == list(range(100))


@pytest.mark.slow
def test_a_partition_that_kills_every_worker_is_named(job: Job) -> None:
    work = job.faulty(KillOnce(job.output.folder, 0, always=True))
    with pytest.raises(RunError, match=r"partition 0 \(.*its worker has died 3 times \(signal 9"):
        done(job, work, job.partitions[:1], 2)
    assert job.rows() == []


@pytest.mark.parametrize("processes", [1, 2])
def test_the_error_of_a_partition_ends_the_job(job: Job, processes: int) -> None:
    pl.DataFrame({"id": [-1, *range(1, 100)]}).write_parquet(job.work.data)
    with pytest.raises(DataError, match=r"partition 0 .*id below 0"):
        done(job, job.work, job.partitions, processes)


def test_a_mistake_of_the_program_keeps_its_traceback(job: Job) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a mistake"):
        done(job, job.faulty(crash), job.partitions, 2)
