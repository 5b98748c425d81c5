"""Data sets and worlds brought to disk."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.datasets import catalog
from crosstower.data.datasets.fetch import fetch
from crosstower.data.datasets.worlds import make
from crosstower.errors import RecipeError, RunError


def test_a_world_is_written_as_it_is_simulated(tmp_path: Path) -> None:
    (path,) = fetch("world:rentals", tmp_path / "d", rows=30, seed=4)
    assert path == tmp_path / "d" / "rentals.parquet"
    assert pl.read_parquet(path).equals(make("rentals", rows=30, seed=4).frame)


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    (path,) = fetch("world:rentals", tmp_path, rows=5)
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"rentals\.parquet.*--out"):
        fetch("world:rentals", tmp_path, rows=6)
    assert path.read_bytes() == before


def test_an_unknown_world_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'rentals'"):
        fetch("world:rental", tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_a_public_set_has_the_rows_it_has(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--rows: only synthetic datasets"):
        fetch("adult", tmp_path, rows=5)


def test_the_files_of_a_public_set_are_returned_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(name: str, out: Path, **_: object) -> Path:
        (out / name).mkdir()
        for file in ("b.parquet", "a.parquet", "LICENSE"):
            (out / name / file).touch()
        return out / name

    monkeypatch.setattr(catalog, "get", get)
    assert [p.name for p in fetch("adult", tmp_path)] == ["a.parquet", "b.parquet"]
