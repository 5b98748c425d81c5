"""Several observers of one training run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crosstower.training.protocols import Observer


class Observers:
    """Passes all observations on to several observers, in order.

    Args:
        observers: such as a progress bar and a tracker.

    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def begin(self, *, rows: int, epoch: int) -> None:
        """Report the start of an epoch."""
        for observer in self._observers:
            observer.begin(rows=rows, epoch=epoch)

    def advance(self, *, rows: int, loss: float) -> None:
        """Report a step."""
        for observer in self._observers:
            observer.advance(rows=rows, loss=loss)

    def finish(self, record: dict[str, Any]) -> None:
        """Report an evaluation."""
        for observer in self._observers:
            observer.finish(record)
