"""Batch jobs on real Ray workers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier

import polars as pl
import pytest

from crosstower.errors import DataError, QueryError
from crosstower.serving.batch_jobs.part_files import PartWriter
from crosstower.serving.batch_jobs.partitions import Partition
from crosstower.serving.batch_jobs.ray_cluster import PartMaker, on_ray
from crosstower.serving.batch_jobs.recommend import recommend_users
from crosstower.serving.batch_jobs.run import run_job
from crosstower.serving.batch_jobs.work import OnRows
from crosstower.training.run import Run

from .copying import FACTS, Copy, Job

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "fixtures" / "ray_jobs.py"
SECONDS = 600


def ids_of(folder: Path) -> list[int]:
    return [i for part in sorted(folder.glob("part-*")) for i in pl.read_parquet(part)["id"]]


@pytest.mark.slow
def test_ray_workers_write_the_parts_of_one_process(film_run: Run, tmp_path: Path) -> None:
    pl.DataFrame({"id": range(100)}).write_parquet(tmp_path / "rows.parquet")
    pl.DataFrame({"id": [-1] * 100}).write_parquet(tmp_path / "bad.parquet")
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(paths), "RAY_worker_niceness": "0"}
    done = subprocess.run(
        [sys.executable, SCRIPT, film_run.folder, tmp_path],
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    recommend_users(film_run.folder, tmp_path / "here", k=5, partition_size=30)
    for number in range(4):
        name = f"part-0000{number}.parquet"
        here, by_ray = (pl.read_parquet(tmp_path / f / name) for f in ("here", "by_ray"))
        assert here.equals(by_ray)
    assert found["read"] == 120
    assert (tmp_path / ".killed-1").exists()
    assert not found["killed"] or "run the same command again" in found["killed"]
    assert (found["copied"], ids_of(tmp_path / "killed")) == (100, list(range(100)))
    assert "partition 0 (" in found["error"]
    assert "id below 0" in found["error"]


def test_a_worker_opens_its_model_once(job: Job) -> None:
    job.output.begin()
    maker = PartMaker(job.work, job.output)
    facts = [maker(partition) for partition in job.partitions]
    assert [number for number, _ in facts] == [0, 1, 2, 3]
    assert sum(one.read for _, one in facts) == 100
    assert job.rows() == list(range(100))


@dataclass(frozen=True, eq=False)
class Opened(Copy):
    """A copy that notes which worker, a new one whenever it is opened, does each partition."""

    done: Callable[[int], object] = lambda worker: None

    def open(self) -> Copy:
        return replace(self)

    def write(self, partition: Partition, part: PartWriter, on_rows: OnRows) -> None:
        self.done(id(self))
        super().write(partition, part, on_rows)


def test_threads_of_a_process_share_no_worker(job: Job) -> None:
    job.output.begin()
    both, found = Barrier(2, timeout=60), list[int]()
    work = Opened(job.work.data, done=lambda worker: (found.append(worker), both.wait()))
    maker = PartMaker(work, job.output)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(maker, job.partitions))
    assert len(set(found)) == 2
    assert len(set(found[:2])) == len(set(found[2:])) == 2
    assert job.rows() == list(range(100))


def test_nothing_to_do_starts_no_cluster(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "daft", None)
    on_ray(job.work, job.output, [], lambda event: None)
    with pytest.raises(DataError, match=r"needs the package daft; install it with: pip install"):
        on_ray(job.work, job.output, job.partitions, lambda event: None)


def test_a_cluster_decides_its_workers_itself(job: Job) -> None:
    with pytest.raises(QueryError, match="--processes: for --engine local; a Ray cluster has"):
        run_job(job.work, FACTS, job.partitions, job.output.folder, processes=2, engine="ray")
