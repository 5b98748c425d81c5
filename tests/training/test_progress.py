import io
import itertools
import json
from pathlib import Path

import pytest
from rich.console import Console

from crosstower.training import progress
from crosstower.training.progress import Watcher, training_bar


def test_the_bar_shows_epoch_speed_and_loss_and_the_log_stays(tmp_path: Path) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    log = tmp_path / "metrics.jsonl"
    with training_bar(console) as bar:
        watcher = Watcher(bar, name="dcn_v2 seed 0", monitor="click.auc", log=log)
        watcher.begin(rows=10, epoch=0)
        watcher.advance(rows=5, loss=0.25)
        watcher.finish({"epoch": 0, "train_loss": 0.25, "valid": {"click.auc": 0.75}})
        watcher.begin(rows=10, epoch=1)
        watcher.advance(rows=5, loss=0.125)
        watcher.advance(rows=3, loss=0.125)
        bar.refresh()
        assert bar.tasks[0].completed == 8
        watcher.close()
        assert bar.tasks == []
    shown = screen.getvalue()
    assert "dcn_v2 seed 0 epoch 2" in shown
    assert "loss 0.1250, valid click.auc 0.7500" in shown
    assert "rows/s" in shown
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [0]


def test_without_a_terminal_a_long_epoch_is_a_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 9)  # each batch takes nine seconds
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    screen = io.StringIO()
    with training_bar(Console(file=screen)) as bar:
        watcher = Watcher(bar, name="mlp seed 1", monitor="click.auc", log=tmp_path / "log")
        watcher.begin(rows=100, epoch=0)
        for _ in range(10):
            watcher.advance(rows=10, loss=0.25)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 3  # after 27, 54 and 81 seconds
    assert lines[0] == "mlp seed 1 epoch 1: 30 of 100 rows (30%), 1 rows/s, loss 0.2500"


def test_without_a_terminal_an_epoch_is_a_line(tmp_path: Path) -> None:
    screen = io.StringIO()
    with training_bar(Console(file=screen)) as bar:
        watcher = Watcher(bar, name="mlp seed 1", monitor="click.auc", log=tmp_path / "log")
        watcher.begin(rows=10, epoch=0)
        watcher.advance(rows=10, loss=0.25)
        watcher.finish({"epoch": 0, "train_loss": 0.25, "valid": {"click.auc": 0.75}})
    assert screen.getvalue() == "mlp seed 1 epoch 1: loss 0.2500, valid click.auc 0.7500\n"


def test_an_evaluation_within_an_epoch_names_its_step(tmp_path: Path) -> None:
    screen = io.StringIO()
    with training_bar(Console(file=screen)) as bar:
        watcher = Watcher(bar, name="mlp seed 1", monitor="click.auc", log=tmp_path / "log")
        watcher.begin(rows=10, epoch=0)
        record = {"epoch": 0, "train_loss": 0.25, "valid": {"click.auc": 0.75}}
        watcher.finish(record | {"epochs": 0.5, "step": 4})
        watcher.finish(record | {"epochs": 1.0, "step": 8})
    assert screen.getvalue().splitlines() == [
        "mlp seed 1 epoch 1, step 4: loss 0.2500, valid click.auc 0.7500",
        "mlp seed 1 epoch 1: loss 0.2500, valid click.auc 0.7500",
    ]
