"""Progress of training on the terminal, and its log file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from crosstower.data.progress import NotebookLine, RateColumn
from crosstower.evaluation.reports.content import epochs_of


def training_bar(console: Console) -> Progress:
    """Return a progress display with loss, rows per second and the time left of the epoch.

    If the output is not a terminal (a log file, a pipe), there is no bar; see `Watcher`.
    """
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        RateColumn(" rows"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_interactive,
    )


class Watcher:
    """Observes one training run: moves the bar, and appends a JSON line per evaluation to `log`.

    Without a bar it prints a line per evaluation instead, and at least one every `seconds` of a
    long epoch.

    >>> import sys
    >>> bar = training_bar(Console(file=sys.stdout))  # a file, not a terminal
    >>> watcher = Watcher(bar, name="mlp seed 0", monitor="click.auc", log=None)
    >>> watcher.begin(rows=100, epoch=0)
    >>> watcher.advance(rows=100, loss=0.7)
    >>> valid = {"click.auc": 0.61}
    >>> watcher.finish({"epoch": 0, "step": 1, "train_loss": 0.7, "valid": valid})
    mlp seed 0 epoch 1: loss 0.7000, valid click.auc 0.6100
    """

    seconds = 20.0

    def __init__(self, bar: Progress, *, name: str, monitor: str, log: Path | None) -> None:
        self._bar, self._name, self._monitor, self._log = bar, name, monitor, log
        self._task = bar.add_task(name, total=None, note="")
        self._best, self._words = "", ""
        self._rows, self._done, self._began, self._told = 0, 0, 0.0, 0.0
        if isinstance(bar.console.file, NotebookLine):
            self.seconds = 1.0

    def begin(self, *, rows: int, epoch: int) -> None:
        """Start the bar of an epoch."""
        self._words = f"{self._name} epoch {epoch + 1}"
        self._rows, self._done = rows, 0
        self._began = self._told = time.monotonic()
        self._bar.reset(self._task, total=rows, description=self._words)

    def advance(self, *, rows: int, loss: float) -> None:
        """Move on by a batch."""
        self._bar.update(self._task, advance=rows, note=f"loss {loss:.4f}{self._best}")
        self._done += rows
        now = time.monotonic()
        if self._bar.disable and now - self._told >= self.seconds:
            self._told = now
            speed = self._done / max(now - self._began, 1e-9)
            done = f"{self._done:,} of {self._rows:,} rows ({self._done / self._rows:.0%})"
            self._print(f"{self._words}: {done}, {speed:,.0f} rows/s, loss {loss:.4f}{self._best}")

    def finish(self, record: dict[str, Any]) -> None:
        """Log an evaluation and show its result."""
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        value = record["valid"].get(self._monitor)
        self._best = "" if value is None else f", valid {self._monitor} {value:.4f}"
        if self._bar.disable:
            where = f"epoch {record['epoch'] + 1}"
            if epochs_of(record) < record["epoch"] + 1:
                where += f", step {record['step']}"
            self._print(f"{self._name} {where}: loss {record['train_loss']:.4f}{self._best}")

    def _print(self, words: str) -> None:
        self._bar.console.print(words, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.remove_task(self._task)
