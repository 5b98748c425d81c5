"""Part files."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.serving.batch_jobs import part_files
from crosstower.serving.batch_jobs.part_files import PartFacts, part_file, read_facts


def test_a_part_holds_its_rows_and_says_who_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part_files, "_GROUP_ROWS", 5)
    path = tmp_path / "part.parquet"
    with part_file(path, "abc") as part:
        for start in range(0, 12, 2):
            part.write(pl.DataFrame({"a": [start, start + 1], "b": [None, None if start else "x"]}))
        part.read = 7
        part.counts["odd"] += 3
        assert not path.exists()
    frame = pl.read_parquet(path)
    assert frame["a"].to_list() == list(range(12))
    assert frame["b"].null_count() == 11
    assert read_facts(path) == PartFacts("abc", 7, 12, {"odd": 3})
    assert [p.name for p in tmp_path.iterdir()] == ["part.parquet"]


def test_an_empty_part_has_its_columns(tmp_path: Path) -> None:
    with part_file(tmp_path / "part.parquet", "abc") as part:
        part.write(pl.DataFrame(schema={"a": pl.Int64}))
    assert pl.read_parquet(tmp_path / "part.parquet").schema == {"a": pl.Int64}


def write_unlike(path: Path) -> None:
    """Write frames of different columns."""
    with part_file(path, "abc") as part:
        part.write(pl.DataFrame({"a": [1]}))
        part.write(pl.DataFrame({"b": ["x"]}))


def test_a_part_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        write_unlike(tmp_path / "p.parquet")
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_no_parts(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    with part_file(tmp_path / "cut.parquet", "abc") as part:
        part.write(pl.DataFrame({"a": [1]}))
    content = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(content[:-20])
    for name in ("other", "text", "cut", "none"):
        assert read_facts(tmp_path / f"{name}.parquet") is None
