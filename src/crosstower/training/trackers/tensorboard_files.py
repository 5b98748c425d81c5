"""TensorBoard: event files in `tensorboard/` of the run folder, one per model and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from crosstower.training.trackers.tracker import Subject

FOLDER, SUMMARY = "tensorboard", "summary"
_LOSS = "train/loss"


def open_tracker(subject: Subject) -> EventFiles:
    """Return the event files of a subject; those of earlier training runs stay."""
    folder = subject.folder / FOLDER / (subject.part or SUMMARY)
    begun = folder.is_dir()
    files = EventFiles(folder)
    if not begun:
        files.describe(subject.parameters)
    return files


class EventFiles:
    """A folder of event files.

    Args:
        folder: created if it is missing.

    """

    def __init__(self, folder: Path) -> None:
        self._last = _last_step(folder) if folder.is_dir() else -1
        writer: Any = SummaryWriter
        self._writer: Any = writer(str(folder))

    def describe(self, parameters: Mapping[str, str]) -> None:
        """Write parameters as a table of text."""
        rows = [f"| {key} | `{value}` |" for key, value in parameters.items()]
        self._writer.add_text("parameters", "\n".join(["| key | value |", "|---|---|", *rows]), 0)

    def last_step(self) -> int:
        """Return the last step that was logged before; -1 if none was."""
        return self._last

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics of a step."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def add_files(self, paths: Sequence[Path]) -> None:
        """Write where the files are, as TensorBoard shows text only."""
        words = "\n".join(f"- {path}" for path in paths)
        self._writer.add_text("files", words, 0)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def _last_step(folder: Path) -> int:
    reader: Any = EventAccumulator(str(folder))
    reader.Reload()
    known = _LOSS in reader.Tags()["scalars"]
    return max((event.step for event in reader.Scalars(_LOSS)), default=-1) if known else -1
