"""A state, and folders that pass for bundles: they hold a manifest only."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crosstower.serving.bundle import Bundle
from crosstower.serving.state.state import State

Named = Callable[[Path], Path]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def manifest_only(bundle: Bundle) -> Named:
    """Make a folder with the manifest of a bundle, and nothing else."""

    def made(folder: Path) -> Path:
        folder.mkdir(parents=True)
        shutil.copy(bundle.folder / "manifest.json", folder)
        return folder

    return made


@pytest.fixture
def base(manifest_only: Named, tmp_path: Path) -> Path:
    return manifest_only(tmp_path / "base")
