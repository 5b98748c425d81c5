import json
from pathlib import Path

import pytest

from crosstower import __version__
from crosstower.cli.doctor import machine

from ..command_line import Capture, run


def test_the_state_of_everything_is_shown(tmp_path: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "doctor", "--folder", tmp_path)
    assert (code, out.splitlines()[-1]) == (0, "no problems")
    assert max(map(len, out.splitlines())) <= 100
    for words in (f"crosstower {__version__}", "python", "torch", "Extras", "serve"):
        assert words in out


def test_a_problem_is_counted_and_gives_exit_code_1(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_LEAST_DISK", 1e30)
    code, out, _ = run(capsys, "doctor", "--folder", tmp_path)
    assert code == 1
    assert "disk: delete files, or use another disk" in out
    assert out.splitlines()[-1] == "2 problems; see the remedies above"
    code, out, _ = run(capsys, "doctor", "--folder", tmp_path, "--json")
    found = json.loads(out)
    assert (code, found["problems"], found["version"]) == (1, 2, __version__)
    disk = next(one for one in found["machine"] if one["check"] == "disk")
    assert disk["status"] == "problem"
    assert {"machine", "packages", "torch", "extras"} <= found.keys()


def test_a_folder_that_is_missing_is_refused(tmp_path: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, "doctor", "--folder", tmp_path / "gone")
    assert code == 2
    assert "does not exist" in " ".join(err.replace("│", " ").split())
