import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from crosstower.cli import launch
from crosstower.errors import DataError, RecipeError, TrainingError
from crosstower.fitting import distributed_checks
from crosstower.fitting.fit import fit
from crosstower.fitting.worker import leave
from crosstower.training.distributed.lost import LostProcessError
from crosstower.training.history import history
from crosstower.training.run import Run
from crosstower.training.trainer import TrainingInterruptedError
from crosstower.training.weight_files import is_by_rows, read_tensors

from ..conftest import rows

pytestmark = pytest.mark.slow

needs_torchrec = pytest.mark.skipif(
    find_spec("torchrec") is None, reason="torchrec, which several processes need, is missing"
)
KILLED, ENDED = -signal.SIGKILL, -signal.SIGTERM


EMPTY, BUG = DataError("a.csv: empty"), ValueError("a bug")
FULL, GONE = TrainingError("disk full"), LostProcessError("rank 1 is gone")
STOPPED = TrainingInterruptedError("stopped after step 3")


def failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exitcode: int, error: Exception | None = None
) -> ProcessFailure:
    path = tmp_path / f"error-{time.monotonic_ns()}.json"
    if error is not None:
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(path))
        leave(error)
    return ProcessFailure(local_rank=0, pid=1, exitcode=exitcode, error_file=str(path))


@pytest.mark.parametrize(
    ("failures", "error", "again"),
    [
        ([(3, EMPTY), (3, EMPTY)], (DataError, "^a.csv: empty"), False),
        ([(ENDED, None), (4, FULL)], (TrainingError, "^rank 1: disk full"), False),
        ([(4, GONE), (KILLED, None)], (TrainingError, "^rank 1 was ended by SIGKILL"), True),
        ([(4, GONE), (ENDED, None)], (LostProcessError, "^rank 1 is gone"), True),
        ([(4, GONE), (1, BUG)], (TrainingError, "^rank 1 failed: ValueError: a bug"), True),
        ([(130, None), (ENDED, None)], (TrainingInterruptedError, "Ctrl-C"), False),
        ([(130, STOPPED), (ENDED, None)], (TrainingInterruptedError, "^stopped after"), False),
        ([(2, None), (2, None)], (SystemExit, "2"), False),
    ],
)
def test_the_first_cause_is_shown_and_restarts_help_or_do_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: list[tuple[int, Exception | None]],
    error: tuple[type[BaseException], str],
    *,
    again: bool,
) -> None:
    found = {rank: failure(tmp_path, monkeypatch, *f) for rank, f in enumerate(failures)}
    kind, words = error
    with pytest.raises(kind, match=words):
        raise launch._error_of(found)
    assert launch._may_restart(found) == again


def test_a_missing_package_is_named_before_a_process_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributed_checks, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"'torchrec'.*crosstower\[distributed\]"):
        launch.launch(["fit", "no.yaml"], processes=2, max_restarts=0)


@needs_torchrec
def test_an_error_of_all_processes_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "crosstower", "fit", "small.yaml", "--processes", "2"]
    command += ["--max-restarts", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = (line for line in done.stderr.splitlines() if "than cores" not in line)
    assert line.startswith(f"crosstower: {tmp_path / 'rows.parquet'}: no such file")


def test_more_processes_than_cores_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[Any]()
    monkeypatch.setattr(distributed_checks, "find_spec", lambda name: name)
    monkeypatch.setattr(launch, "_attempt", lambda *given: tried.append(given))
    with pytest.warns(UserWarning, match=r"--processes: more processes \(999\) than cores \(\d+\)"):
        launch.launch(["fit"], processes=999, max_restarts=0)
    assert len(tried) == 1


RECIPE = """
name: small
data: {path: rows.parquet}
schema:
  columns:
    user_id: {kind: categorical, hash_buckets: 50}
    genre: {kind: categorical}
  tasks: {click: binary}
model: {name: wide_deep, embedding_dim: 4, hidden: [8], dropout: 0.1}
training: {epochs: 12, patience: 12, batch_size: 64, precision: float32, learning_rate: 0.002,
           embedding_optimizer: rowwise_adagrad, clip_norm: null, checkpoint_every: 3}
evaluation: {baselines: []}
"""
FEW = ["training.epochs=1"]
PLACE = Path("models", "wide_deep", "seed-0")


class Launched:
    """`crosstower fit --processes 2` as a user starts it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "crosstower", "fit", *arguments, "--processes", "2"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def signal_rank(self, rank: int, number: int, *, epochs: int) -> None:
        """Send a signal to one of the processes after some epochs of the run."""
        log = self.folder / "run" / PLACE / "metrics.jsonl"
        while not log.is_file() or len(log.read_text().splitlines()) < epochs:
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)
        os.kill(self._pid(rank), number)

    def _pid(self, rank: int) -> int:
        """Return the process of a rank: a child of the launcher with it in its environment."""
        for place in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                words = (place / "environ").read_bytes().split(b"\0")
            except (OSError, ValueError):
                continue
            if parent == self.process.pid and f"RANK={rank}".encode() in words:
                return int(place.name)
        raise AssertionError(f"no process of rank {rank}")

    def end(self) -> tuple[int, str]:
        """Return exit code and messages."""
        try:
            _, err = self.process.communicate(timeout=300)
        finally:
            self.process.kill()
        return self.process.returncode, err


def weights(folder: Path) -> dict[str, Tensor]:
    return read_tensors(folder / PLACE / "best.safetensors", prefix="model.")


def difference(folder: Path, other: Path) -> float:
    """Return the largest difference between the weights of two runs."""
    one, two = weights(folder), weights(other)
    assert one.keys() == two.keys()
    return max(float((one[k] - two[k]).abs().max()) for k in one)


@needs_torchrec
def test_a_stopped_and_a_killed_process_change_nothing_about_the_weights(tmp_path: Path) -> None:
    rows(900).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "small.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        fit("small.yaml", overrides=FEW, out="base", quiet=True)
        fit("small.yaml", warm_start="base", out="alone", quiet=True)

    first = Launched(tmp_path, "small.yaml", "--from", "base", "--out", "run")
    first.signal_rank(1, signal.SIGINT, epochs=2)
    code, err = first.end()
    assert code == 130, err
    message = err.splitlines()[-1]
    assert message.startswith("crosstower: stopped after step ")
    assert "crosstower fit --resume run" in message
    assert err.count("stopped after step") == 1
    assert is_by_rows(tmp_path / "run" / PLACE / "last.safetensors")

    again = Launched(tmp_path, "--resume", "run", "--max-restarts", "1")
    again.signal_rank(1, signal.SIGKILL, epochs=6)
    code, err = again.end()
    assert code == 0, err
    assert "rank 1 was ended by SIGKILL" in err
    assert "restart 1 of 1, from the last checkpoint" in err
    assert "Traceback" not in err

    run, alone = Run.open(tmp_path / "run"), Run.open(tmp_path / "alone")
    assert not is_by_rows(run.folder / PLACE / "best.safetensors")
    assert len(history(run, "wide_deep", 0)) == len(history(alone, "wide_deep", 0)) == 12
    assert difference(alone.folder, run.folder) <= 1e-5
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name in ("alone", "run"):
            fit("small.yaml", overrides=FEW, warm_start=name, out=f"{name}-warm", quiet=True)
    assert difference(tmp_path / "alone-warm", tmp_path / "run-warm") <= 1e-5
    metrics = [r.metrics["tasks"]["click"]["wide_deep"]["auc"]["mean"] for r in (alone, run)]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-4)
