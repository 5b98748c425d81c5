import json
from pathlib import Path

from crosstower.training.run import Run

from .command_line import Capture
from .command_line import run as command


def test_lists_are_of_queries(retrievers: tuple[Run, Run], capsys: Capture) -> None:
    _, out, _ = command(capsys, "compare", *(str(run.folder) for run in retrievers))
    assert "test queries\n" in out
    assert "test rows" not in out


def test_the_command_prints_tables_and_writes_the_page(
    rankers: tuple[Run, Run, Run], tmp_path: Path, capsys: Capture
) -> None:
    folders = [str(run.folder) for run in rankers[:2]]
    code, out, _ = command(capsys, "compare", *folders, "--page", str(tmp_path / "c.html"))
    assert code == 0
    assert "DeLong" in out
    assert "click: bad against good: AUC −0." in out
    assert (tmp_path / "c.html").is_file()
    code, out, _ = command(capsys, "compare", *folders, "--json")
    assert json.loads(out)["runs"] == ["good", "bad"]
    code, _, shown = command(capsys, "compare", folders[0])
    assert (code, "expected two runs or more" in shown) == (5, True)
