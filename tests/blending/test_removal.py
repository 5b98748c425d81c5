import re
import shutil
import sys
from pathlib import Path

import polars as pl
import pytest

from crosstower.blending.blend_run import blend_run
from crosstower.blending.removal import remove_blend
from crosstower.cli.main import main
from crosstower.data.datasets import worlds
from crosstower.errors import DataError, RunError
from crosstower.recipe.blend import Blend, Diversity
from crosstower.training.run import Run

from ..fixtures.feed import ROWS

LIKE = Blend(weights={"like": 1})
VALUE = Blend(weights={"like": 1}, mode="product", amount="session_id")
CAPS = Diversity(top=5, by="session_id", caps={"1": 1})


@pytest.fixture
def run(feed_run: Run, tmp_path: Path) -> Run:
    """A copy that a test may write into."""
    shutil.copytree(feed_run.folder, tmp_path / "feed")
    return Run.open(tmp_path / "feed")


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Rows to score, without labels and without the column that a blend reads."""
    return worlds.make("feed_engagement", rows=ROWS).frame.tail(20).drop("like", "comment")


def cli(*arguments: str | Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["crosstower", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_caps_need_no_column_where_rows_are_scored(run: Run, frame: pl.DataFrame) -> None:
    blend_run(run, LIKE, diversity=CAPS)
    whole, part = run.predict(frame), run.predict(frame.drop("session_id"))
    assert part.equals(whole)
    assert part["blend__score"].equals(part["like__prediction"].alias("blend__score"))


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_column_that_the_blend_alone_reads_is_named(run: Run, frame: pl.DataFrame) -> None:
    before = run.predict(frame)
    blend_run(run, VALUE)
    assert "blend__score" in run.predict(frame).columns
    words = "no column 'session_id', which the run's blend reads; .*--no-blend .*False.*--rem"
    with pytest.raises(DataError, match=words):
        run.predict(frame.drop("session_id"))
    assert run.predict(frame.drop("session_id"), blend=False).equals(before)


def test_the_command_line_scores_without_the_blend(
    run: Run, frame: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blend_run(run, VALUE)
    rows, out = tmp_path / "rows.parquet", tmp_path / "scores.parquet"
    frame.drop("session_id").write_parquet(rows)
    assert cli("predict", run.folder, rows, "-o", out) == 3
    assert "which the run's blend reads" in capsys.readouterr().err
    assert cli("predict", run.folder, rows, "-o", out, "--no-blend") == 0
    scored = pl.read_parquet(out)
    assert "like__prediction" in scored.columns
    assert "blend__score" not in scored.columns


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_kept_blend_is_removed_with_all_that_it_left(run: Run, frame: pl.DataFrame) -> None:
    before = {path.relative_to(run.folder) for path in run.folder.rglob("*")}
    blend_run(run, VALUE)
    assert {path.relative_to(run.folder) for path in run.folder.rglob("*")} > before
    assert remove_blend(run.folder).folder == run.folder
    assert {path.relative_to(run.folder) for path in run.folder.rglob("*")} == before
    assert "blend__score" not in run.predict(frame.drop("session_id")).columns


def test_no_blend_cannot_be_removed(run: Run) -> None:
    with pytest.raises(RunError, match=re.escape(f"{run.folder}: has no blend")):
        remove_blend(run)


def test_the_command_line_removes_a_blend(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    blend_run(run, VALUE)
    assert cli("blend", run.folder, "--remove", "--weights", "like=1") == 2
    assert "--remove" in capsys.readouterr().err
    assert cli("blend", run.folder, "--remove") == 0
    assert "blend removed" in capsys.readouterr().out
    assert cli("blend", run.folder, "--remove") == 5
