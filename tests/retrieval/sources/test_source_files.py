"""Files of sources in a run folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crosstower.errors import DataError, RunError
from crosstower.fitting.fit import fit
from crosstower.recipe.sources import SourceSpec
from crosstower.retrieval.sources.source_files import open_sources, write_sources
from crosstower.retrieval.sources.source_rows import SourceRows
from crosstower.training.run import Run

from ...fixtures.sourced_films import SOURCES, TOTAL, SourcedFilms

pytestmark = pytest.mark.slow


def test_a_run_has_the_sources_of_its_recipe(sourced_films: SourcedFilms) -> None:
    sources = open_sources(sourced_films.retrieval)
    assert sources is not None
    assert sources.names == tuple(SOURCES)
    assert (sources.total, sources.model) == (TOTAL, "two_tower")


def test_a_run_without_sources_has_none(film_run: Run) -> None:
    assert open_sources(film_run) is None


def test_damaged_and_missing_files_are_named(sourced_films: SourcedFilms, tmp_path: Path) -> None:
    shutil.copytree(sourced_films.retrieval.folder, tmp_path / "run")
    place = tmp_path / "run" / "retrieval" / "sources" / "item_knn" / "weights.npy"
    place.write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"item_knn/weights\.npy: damaged"):
        open_sources(Run.open(tmp_path / "run"))
    place.unlink()
    with pytest.raises(RunError, match=r"item_knn/weights\.npy: missing; train the run again"):
        open_sources(Run.open(tmp_path / "run"))


def test_an_error_names_the_source(film_rows: SourceRows, tmp_path: Path) -> None:
    sources = {"editors": SourceSpec(kind="fixed", quota=1, items=["f77"])}
    made = film_rows.recipe.model_copy(update={"sources": sources})
    with pytest.raises(DataError, match=r"sources\.editors: items: 'f77' is not in the catalogue"):
        write_sources(tmp_path, made, film_rows.data)


def test_written_arrays_are_read_back(film_rows: SourceRows, tmp_path: Path) -> None:
    write_sources(tmp_path, film_rows.recipe, film_rows.data)
    folder = tmp_path / "retrieval" / "sources"
    assert sorted(path.name for path in folder.iterdir()) == sorted(SOURCES)
    counts = np.load(folder / "trending" / "counts.npy", allow_pickle=False)
    assert counts.shape == (32,)


def test_two_processes_and_a_warm_start_learn_the_same_sources(
    sourced_films: SourcedFilms, tmp_path: Path
) -> None:
    pytest.importorskip("torchrec")
    quick = sourced_films.retrieval.recipe.training.model_copy(update={"epochs": 1})
    recipe = sourced_films.retrieval.recipe.model_copy(update={"training": quick})
    (tmp_path / "films.yaml").write_text(recipe.to_yaml())
    command = [sys.executable, "-m", "crosstower", "fit", "films.yaml", "--out", "two"]
    subprocess.run([*command, "--processes", "2"], cwd=tmp_path, check=True, capture_output=True)
    warm = fit(recipe, out=tmp_path / "warm", warm_start=sourced_films.retrieval, quiet=True)
    expected = files_of(sourced_films.retrieval.folder)
    assert len(expected) > len(SOURCES)
    assert files_of(tmp_path / "two") == expected
    assert files_of(warm.folder) == expected


def files_of(run: Path) -> dict[str, bytes]:
    folder = run / "retrieval" / "sources"
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.npy")}
