"""A state, and folders that pass for bundles: they hold a manifest only."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from crosstower.data.datasets.worlds import make as make_world
from crosstower.fitting.fit import fit
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.manifest import read_manifest
from crosstower.serving.retraining.history import History
from crosstower.serving.retraining.versions import Attempt
from crosstower.serving.state.state import State

from ...fixtures.funnels import rentals_recipes
from ...fixtures.made_once import made_once

Named = Callable[[Path], Path]
Fill = Callable[[Attempt], None]


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


@pytest.fixture
def fill(manifest_only: Named) -> Fill:
    def filled(attempt: Attempt) -> None:
        manifest_only(attempt.bundle)
        (attempt.folder / "rows.parquet").write_bytes(b"rows")

    return filled


@pytest.fixture(scope="session")
def weak(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The rentals trained on few rows with shuffled labels: worse than the bundle everywhere."""

    def make(folder: Path) -> None:
        runs = []
        for recipe in rentals_recipes(folder):
            training = recipe.training.model_copy(update={"batch_size": 128})
            recipe = recipe.model_copy(update={"training": training})  # noqa: PLW2901
            frame = make_world("rentals", rows=1_500, seed=5).frame
            shuffled = frame.select(pl.col("click", "booking").shuffle(seed=1))
            runs.append(
                fit(recipe, data=frame.with_columns(shuffled), out=folder / recipe.name, quiet=True)
            )
        make_bundle(runs, folder / "bundle", candidates=50)

    return Bundle.open(made_once(tmp_path_factory, "weak-rentals", make) / "bundle")


@pytest.fixture(scope="session")
def newest() -> pl.DataFrame:
    """Rows of the rentals that no bundle has seen, a list per request."""
    return make_world("rentals", rows=2_000, seed=9).frame


class Journal:
    """Writes lines as a retraining and a server would."""

    def __init__(self, state: State, base: Path, made: Named) -> None:
        self.state, self.base, self.made = state, base, made
        self.version = read_manifest(base).version
        state.set_bundle(base)

    def path(self, number: int) -> Path:
        return self.base.with_name("versions") / f"{number:04d}" / "bundle"

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            path = self.made(self.path(number))
            self.state.versions.publish(
                number, path, base=self.version, detail={}, instead_of=self.state.bundle()
            )

    def back_to(self, number: int) -> None:
        path = self.path(number) if number else self.base
        self.state.versions.add("rolled_back", number, path, base=self.version)

    def withdraw(self) -> None:
        chosen = self.state.bundle()
        assert chosen is not None
        self.state.versions.withdraw(chosen[0], "damaged", base=self.base)

    def history(self) -> History:
        return History.of(self.state, self.base)

    def before(self) -> int | None:
        return self.history().before().number


@pytest.fixture
def journal(state: State, base: Path, manifest_only: Named) -> Journal:
    return Journal(state, base, manifest_only)
