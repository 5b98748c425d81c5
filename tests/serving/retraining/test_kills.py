"""Retrainings that are killed: afterwards the old or the new version is served, and nothing else.

CROSSTOWER_KILLS is the number of kills at random instants.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ...fixtures.live_films import LiveFilms

pytestmark = pytest.mark.slow

KILLS = os.environ.get("CROSSTOWER_KILLS", "25")
ROOT = Path(__file__).parents[3]


def test_a_killed_retraining_leaves_the_old_or_the_new_version(tmp_path: Path, base: Path) -> None:
    least = {"published": 30, "refused": 20, "random": int(KILLS) // 3}
    given = [tmp_path, base, ",".join(least), KILLS]
    command = [sys.executable, "-m", "tests.serving.retraining.kills", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed = dict(zip(least, map(int, done.stdout.split()), strict=True))
    assert all(killed[kind] >= count for kind, count in least.items()), killed


def test_a_real_retraining_that_is_killed_leaves_a_bundle_that_can_be_served(
    tmp_path: Path, live_films: LiveFilms
) -> None:
    runs = [live_films.retrieval.folder, live_films.ranking.folder]
    given = [tmp_path, live_films.bundle.folder, "real", "2", *runs]
    command = [sys.executable, "-m", "tests.serving.retraining.kills", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 2
