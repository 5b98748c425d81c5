"""Interface of a tracker, which receives metrics, parameters and files of training."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from crosstower.errors import RecipeError

_PACKAGES = {"mlflow": "mlflow", "tensorboard": "tensorboard", "wandb": "wandb"}
_MODULES = {"mlflow": "mlflow_runs", "tensorboard": "tensorboard_files", "wandb": "wandb_runs"}


@dataclass(frozen=True)
class Subject:
    """Subject of tracking: one model and seed, or a whole run.

    Args:
        folder: of the run.
        run: name of the run.
        part: "MODEL/seed-S"; empty for the whole run.
        parameters: of the recipe, by dotted key.
        ids: of the tracker's runs by part, which a resumed run continues with; changed in place.

    """

    folder: Path
    run: str
    part: str
    parameters: Mapping[str, str]
    ids: dict[str, str]


class Tracker(Protocol):
    """One open run of a tracker. Any of its calls may fail; training continues."""

    def last_step(self) -> int:
        """Return the last step that was logged before; -1 if none was."""
        ...

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics, all finite, of a training step."""
        ...

    def add_files(self, paths: Sequence[Path]) -> None:
        """Keep files, such as a report."""
        ...

    def close(self) -> None:
        """End the run of the tracker."""
        ...


class _Opener(Protocol):
    def open_tracker(self, subject: Subject) -> Tracker: ...


def check_installed(names: Sequence[str]) -> None:
    """Reject trackers whose package is missing.

    Args:
        names: of trackers.

    Raises:
        RecipeError: names the extra.

    """
    for name in names:
        if find_spec(_PACKAGES[name]) is None:
            raise RecipeError(
                f"training.trackers: {name} needs the package {_PACKAGES[name]}; install it with:"
                f" pip install 'crosstower[{name}]', or leave it out"
            )


def open_tracker(name: str, subject: Subject) -> Tracker:
    """Open a tracker.

    Args:
        name: of the tracker.
        subject: of tracking.

    """
    module: Any = importlib.import_module(f"crosstower.training.trackers.{_MODULES[name]}")
    return cast("_Opener", module).open_tracker(subject)
