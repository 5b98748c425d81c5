import json
from pathlib import Path

import pytest

from .command_line import Capture, run


def test_json_is_for_machines(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "fit", "small.yaml", "--json", "--out", "a")
    assert code == 0
    assert set(json.loads(out)) == {"joins", "tasks", "training", "verdicts", "peak_memory_mb"}
    _, out, _ = run(capsys, "evaluate", "a", "--json")
    assert json.loads(out)["click"]["wide_deep"]["auc"]["mean"] > 0.7


@pytest.mark.slow
def test_a_run_folder_can_be_resumed(here: Path, capsys: Capture) -> None:
    run(capsys, "fit", "small.yaml", "--out", "a")
    code, out, _ = run(capsys, "fit", "--resume", "a")
    assert (code, "report: a/report.html" in out) == (0, True)
    code, out, _ = run(capsys, "fit", "small.yaml", "--resume", "--out", "a")
    assert code == 0


def test_ctrl_c_before_the_training_is_said(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.fitting.fit.fit", stopped)
    assert run(capsys, "fit", "small.yaml") == (130, "", "crosstower: stopped by Ctrl-C\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.yaml",), "none.yaml: no such recipe"),
        (("small.yaml", "-o", "training.epoch=3"), "training.epoch"),
    ],
)
def test_a_wrong_recipe_starts_no_process(
    here: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    started = list[object]()
    monkeypatch.setattr("crosstower.cli.launch.launch", lambda *a, **_: started.append(a))
    code, out, err = run(capsys, "fit", *words, "--processes", "2")
    assert (code, out, started) == (2, "", [])
    assert message in err
    assert run(capsys, "fit", "small.yaml", "--processes", "2")[0] == 0
    assert len(started) == 1
