"""Whole jobs: killed, resumed, and on a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import CrosstowerWarning, DataError, QueryError, RunError
from crosstower.serving.batch_jobs.output import SUCCESS
from crosstower.serving.batch_jobs.run import run_job

from .copying import FACTS, Copy, Job

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SECONDS = 120
DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from crosstower.serving.batch_jobs.partitions import partitions_of
from crosstower.serving.batch_jobs.run import run_job
from crosstower.data.sources.source import open_source
from tests.serving.batch_jobs.copying import FACTS, Copy, Wait
if __name__ == "__main__":
    data, out, mark = sys.argv[2:]
    work = Copy(data, Wait(Path(mark), 3))
    try:
        run_job(work, FACTS, partitions_of(open_source(data), size=27), out, processes=2)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_a_job_adds_up(job: Job) -> None:
    shown: list[tuple[str, int | None, int | None]] = []
    summary = run_job(
        job.work,
        FACTS,
        job.partitions,
        job.output.folder,
        unit="ids",
        on_progress=lambda *progress: shown.append(progress),  # type: ignore[arg-type]
    )
    assert (summary.read, summary.written, summary.counts) == (100, 100, {"even": 50})
    assert (summary.partitions, summary.kept) == (4, 0)
    assert shown == [("ids", done, 100) for done in (0, 27, 54, 81, 100)]
    totals = json.loads((job.output.folder / SUCCESS).read_text())
    assert totals["parts"][3] == {"part": "part-00003.parquet", "read": 19, "written": 19}
    assert totals["counts"] == {"even": 50}


def test_workers_without_a_part_are_reported(job: Job) -> None:
    run_job(job.work, FACTS, job.partitions, job.output.folder)
    job.output.part(2).unlink()
    with pytest.warns(CrosstowerWarning, match="1 part is left for 2 workers; for more parts,"):
        run_job(job.work, FACTS, job.partitions, job.output.folder, processes=2)
    assert job.rows() == list(range(100))


def test_finished_parts_are_kept(job: Job) -> None:
    run_job(job.work, FACTS, job.partitions, job.output.folder)
    times = {n: job.output.part(n).stat().st_mtime_ns for n in range(4)}
    job.output.part(1).unlink()
    job.output.part(2).write_bytes(job.output.part(2).read_bytes()[:-9])
    again = run_job(job.work, FACTS, job.partitions, job.output.folder)
    assert (again.kept, again.read, again.counts) == (2, 100, {"even": 50})
    assert job.rows() == list(range(100))
    kept = [n for n in range(4) if job.output.part(n).stat().st_mtime_ns == times[n]]
    assert kept == [0, 3]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_driver_leaves_whole_parts_and_no_workers(
    job: Job, tmp_path: Path, sent: signal.Signals
) -> None:
    out, mark = job.output.folder, tmp_path / "go"
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, tmp_path / "driver.py", ROOT, job.work.data, out, mark]
    driver = subprocess.Popen(
        list(map(str, command)), start_new_session=True, stderr=subprocess.PIPE
    )
    try:
        until = time.monotonic() + SECONDS
        while len(list(out.glob("part-*"))) < 3 and time.monotonic() < until:
            assert driver.poll() is None
            time.sleep(0.02)
        if sent == signal.SIGKILL:
            os.kill(driver.pid, sent)  # the driver alone
        else:
            os.killpg(driver.pid, sent)  # the workers too, as a terminal does
        written = driver.communicate(timeout=SECONDS)[1]
        assert (driver.returncode, written) == (-9 if sent == signal.SIGKILL else 130, b"")
        while alive(driver.pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert not alive(driver.pid)  # its group: the workers have ended with it
    finally:
        if alive(driver.pid):
            os.killpg(driver.pid, signal.SIGKILL)
    assert sorted(p.name for p in out.glob("part-*")) == [f"part-0000{n}.parquet" for n in range(3)]
    assert not (out / SUCCESS).exists()
    summary = run_job(job.work, FACTS, job.partitions, out)
    assert (summary.kept, job.rows()) == (3, list(range(100)))


def alive(group: int) -> bool:
    """Return whether a process of a group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_full_disk_keeps_the_finished_parts(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "big.parquet"
    random = pl.DataFrame({"id": range(30_000)}).sample(fraction=1, shuffle=True, seed=0)
    pl.concat([pl.DataFrame({"id": range(27)}), random]).write_parquet(path)
    work = Copy(str(path))
    partitions = [job.partitions[0], job.partitions[1].__class__(1, "the rest", 0, 27, 30_027)]
    facts = FACTS.model_copy(update={"partitions": 2})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"part-00001\.parquet: cannot be written: .*free space"):
            run_job(work, facts, partitions, job.output.folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    names = sorted(p.name for p in job.output.folder.iterdir() if p.name != ".lock")
    assert names == ["_job.json", "part-00000.parquet"]
    assert run_job(work, facts, partitions, job.output.folder).kept == 1


def test_an_error_stops_the_job_without_success(job: Job) -> None:
    pl.DataFrame({"id": [*range(99), -1]}).write_parquet(job.work.data)
    with pytest.raises(DataError, match="partition 3 "):
        run_job(job.work, FACTS, job.partitions, job.output.folder)
    assert not (job.output.folder / SUCCESS).exists()
    assert job.rows() == list(range(81))
    with pytest.raises(QueryError, match="processes: expected at least 1, got 0"):
        run_job(job.work, FACTS, job.partitions, job.output.folder, processes=0)
