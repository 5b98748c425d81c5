import json
from pathlib import Path

import pytest

from .command_line import Capture, run


def test_a_recipe_is_planned_before_it_is_trained(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "plan", "small.yaml", "--gpus", "64", "--ids", "1e9")
    assert code == 0
    for words in ("64 x h100 on 8 nodes", "sent per device and step", "rows/s", "fits: "):
        assert words in out
    assert "rates: nvidia.com" in out


def test_json_has_all_figures(here: Path, capsys: Capture) -> None:
    options = ["--processes", "2", "--ids", "1e7", "--batch-size", "512", "--json"]
    code, out, _ = run(capsys, "plan", "small.yaml", *options)
    plan = json.loads(out)
    assert (code, plan["devices"], plan["batch_size"], plan["rows_per_second"]) == (0, 2, 512, None)
    assert plan["bytes_per_step"]["vectors"] > 0


def test_a_run_knows_its_sizes(here: Path, capsys: Capture) -> None:
    run(capsys, "fit", "small.yaml", "--out", "a", "-o", "training.epochs=1")
    code, out, _ = run(capsys, "plan", "a", "--gpus", "2", "--json")
    small = json.loads(out)["ids"]
    assert (code, small < 10_000) == (0, True)
    _, out, _ = run(capsys, "plan", "a", "--gpus", "2", "--ids", "1e6", "--json")
    assert json.loads(out)["ids"] == pytest.approx(10**6, abs=10)
    code, _, error = run(capsys, "plan", "a", "-o", "training.epochs=3")
    assert (code, "a run is planned as it was trained" in error) == (2, True)


def test_another_device_is_described_by_its_figures(here: Path, capsys: Capture) -> None:
    figures = ["--gpu", "a100", "--memory", "24", "--network", "1", "--bandwidth", "100"]
    _, out, _ = run(
        capsys, "plan", "small.yaml", "--gpus", "16", "--ids", "1e9", *figures, "--json"
    )
    assert json.loads(out)["memory_available"] == pytest.approx(24e9 * 0.85)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpus", "2", "--processes", "2"], "--gpus, --processes: give one of them"),
        (["--processes", "2", "--memory", "3"], "describe a GPU; leave --processes out"),
        (["--gpu", "h101"], "no device 'h101'; did you mean 'h100'?"),
        ([], "--ids: "),
        (["--ids", "inf"], "--ids: expected a number such as 1e9, got inf"),
    ],
)
def test_wrong_options_are_named(
    here: Path, capsys: Capture, options: list[str], words: str
) -> None:
    code, _, error = run(capsys, "plan", "small.yaml", *options)
    assert (code, words in error) == (2, True), error
