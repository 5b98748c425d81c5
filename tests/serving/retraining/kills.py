"""Retrainings that are killed, as a program of its own.

Child processes retrain with a trainer that only writes a few files, and are killed before and after
every step that touches the disk, or at random instants. They are forked, which a process whose
libraries have threads cannot do safely.
"""

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.retraining import version_folders
from crosstower.serving.retraining import versions as versions_module
from crosstower.serving.retraining.history import History
from crosstower.serving.retraining.retrain import retrain
from crosstower.serving.retraining.versions import Attempt, Versions
from crosstower.serving.state import version_log
from crosstower.serving.state.state import State
from crosstower.serving.state.version_log import VersionLog
from crosstower.training.run import Run

from .films_log import film_events, films_plan, without_exports
from .test_versions import BAD, GOOD, Verdict

FILES = 4  # of a version, besides its manifest
Hook = Callable[[], None]


class Retraining:
    """A state with versions, and the child processes that add some."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.state, self.folder, self.base = folder / "state", folder / "versions", base
        for _ in range(3):
            self.run()

    def run(self, hook: Hook = lambda: None, verdict: Verdict = GOOD) -> None:
        """Retrain in this process."""
        with (
            State.open(self.state) as state,
            self.opened(state) as versions,
            versions.attempt() as attempt,
        ):
            self.fill(attempt, hook)
            attempt.finish(verdict)

    def opened(self, state: State) -> Versions:
        return Versions.open(self.folder, state, base=self.base, keep=2)

    def fill(self, attempt: Attempt, hook: Hook) -> None:
        attempt.bundle.mkdir()
        for number in range(FILES):
            (attempt.bundle / f"{number}").write_bytes(b"content" * 100)
            hook()
        shutil.copy(self.base / "manifest.json", attempt.bundle)
        hook()

    def child(self, work: Callable[[], None]) -> int:
        """Return the number of a new process that does some work."""
        child = os.fork()
        if not child:
            _leave(work)
        return child

    def served(self) -> int:
        """Return the number of the live version, whose files are all there."""
        with State.open(self.state) as state:
            live = History.of(state, self.base).live
        there = {path.name for path in live.bundle.iterdir()}
        assert there == {"manifest.json", *(f"{n}" for n in range(FILES))}
        assert live.number is not None
        return live.number

    def check(self, before: int) -> None:
        """Check that the old or a new version is served, and that the next opening cleans up."""
        live = self.served()
        with State.open(self.state) as state:
            published = [e.number for e in state.versions.entries() if e.event == "published"]
            assert live in (before, max(published))
            with self.opened(state) as versions:
                history = versions.history()
            assert history.unfinished() == []
            names = {path.name for path in self.folder.iterdir()}
            assert names == {f"{number:04d}" for number in history.published()}
            assert history.before().bundle.is_dir()
            # Every attempt has one end.
            ends = [e.number for e in history.entries if e.event not in ("begun", "rolled_back")]
            assert len(ends) == len(set(ends))


def _leave(work: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        work()
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


class RealRetraining(Retraining):
    """The films, retrained from 240 impressions by the runs of their bundle.

    All work is done by children, as libraries with threads must not be used before a fork.
    """

    def __init__(self, folder: Path, base: Path, runs: Sequence[str]) -> None:
        self.state, self.folder, self.base = folder / "state", folder / "versions", base
        self.runs, self._events = runs, 0
        self.wait(self.run)

    def child(self, work: Callable[[], None]) -> int:
        self._events += 240  # new ones for each child
        return super().child(work)

    def run(self, hook: Hook = lambda: None, verdict: Verdict = GOOD) -> None:
        without_exports(pytest.MonkeyPatch())  # for a process that ends soon
        plan = films_plan(Run.open(self.runs[0]), Run.open(self.runs[1]))
        with State.open(self.state) as state:
            state.add_events(film_events(self._events, 240, seed=self._events))
        retrain(self.base, self.state, plan=plan, versions=self.folder)

    def wait(self, work: Callable[[], None]) -> None:
        assert os.waitpid(self.child(work), 0)[1] == 0

    def served(self) -> int:
        """Return the number of the live version, which can be opened as a server does."""
        with State.open(self.state) as state:
            live = History.of(state, self.base).live
        self.wait(lambda: Live.open(Bundle.open(live.bundle)) and None)
        assert live.number is not None
        return live.number


class Killer:
    """Kills its process at a step."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*given: Any, **more: Any) -> Any:
            self.step()
            result = function(*given, **more)
            self.step()
            return result

        return stepping

    def patch(self) -> None:
        """Step before and after all that touches the disk; for a process that ends soon."""
        patch = pytest.MonkeyPatch()
        places: list[tuple[Any, str]] = [
            *((VersionLog, name) for name in ("add", "publish")),
            *((version_log, name) for name in ("choose", "_append")),
            (version_folders, "sync_folder"),
            (versions_module, "write_atomic"),
            *((Path, name) for name in ("mkdir", "rename")),
            (shutil, "rmtree"),
        ]
        for owner, name in places:
            patch.setattr(owner, name, self.around(getattr(owner, name)))


def at_each_step(retraining: Retraining, verdict: Verdict) -> int:
    """Kill a child at its first step, the next one at its second, and so on; return their number.

    Every child starts from what the one before has left.
    """
    steps = 0
    while True:
        steps += 1
        before, killer = retraining.served(), Killer(steps)

        def work(killer: Killer = killer) -> None:
            killer.patch()
            retraining.run(killer.step, verdict)

        _, status = os.waitpid(retraining.child(work), 0)
        retraining.check(before)
        if status == 0:
            return steps - 1
        assert os.WTERMSIG(status) == signal.SIGKILL


def at_random(retraining: Retraining, kills: int) -> int:
    """Kill children at random instants; return the number of those that had not ended."""
    draws, killed, start = random.Random(0), 0, time.monotonic()
    os.waitpid(retraining.child(retraining.run), 0)
    longest = time.monotonic() - start
    for _ in range(kills):
        before = retraining.served()
        child = retraining.child(retraining.run)
        time.sleep(draws.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        hit = os.waitpid(child, 0)[1] == signal.SIGKILL
        killed += hit
        longest *= 1.2 if hit else 0.6  # follows the speed of the machine
        retraining.check(before)
    return killed


def killed_of(kind: str, retraining: Retraining, kills: int) -> int:
    """Return the number of retrainings that were killed."""
    if kind in ("random", "real"):
        killed = at_random(retraining, kills)
    else:
        killed = at_each_step(retraining, GOOD if kind == "published" else BAD)
    before = retraining.served()
    os.waitpid(retraining.child(retraining.run), 0)  # the next one works as ever
    assert retraining.served() > before
    return killed


def main(folder: str, base: str, kinds: str, kills: str, *runs: str) -> None:
    """Run the retrainings of each kind, and print the numbers of those that were killed."""
    for kind in kinds.split(","):
        place = Path(folder) / kind
        place.mkdir()
        if kind == "real":
            retraining: Retraining = RealRetraining(place, Path(base), runs)
        else:
            retraining = Retraining(place, Path(base))
        sys.stdout.write(f"{killed_of(kind, retraining, int(kills))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
