"""Interfaces of the training loop: objective, stream of batches, observer."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, Protocol

from torch import Tensor, nn


class Observer(Protocol):
    """Observer of a training run, such as a progress bar or a log file."""

    def begin(self, *, rows: int, epoch: int) -> None:
        """Report the start of an epoch of `rows` training rows."""
        ...

    def advance(self, *, rows: int, loss: float) -> None:
        """Report a step over `rows` rows and its loss."""
        ...

    def finish(self, record: dict[str, Any]) -> None:
        """Report an evaluation, at the end of an epoch or within it, with its record."""
        ...


class Objective(Protocol):
    """Training objective: of labelled rows for a ranker, of pairs for a retriever."""

    def begin_epoch(self, model: nn.Module) -> None:
        """Prepare an epoch."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch."""
        ...

    def rows(self, batch: Any) -> Tensor:
        """Return the number of rows per head `[T]` that the loss is the mean of."""
        ...

    def backward(self, model: nn.Module, loss: Tensor) -> None:
        """Write the gradients of the last loss to the parameters of the model."""
        ...

    def log_values(self) -> dict[str, float]:
        """Return values to log with the record of an epoch."""
        ...

    def describe(self, batch: Any) -> list[str]:
        """Return lines that help to diagnose a loss that is not finite."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return the state that a resumed training run needs besides weights."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore a state returned by `state`."""
        ...


class Stream(Protocol):
    """Batches by epoch, the same for the same epoch, on the CPU."""

    @property
    def size(self) -> int:
        """Rows per batch."""
        ...

    @property
    def rows(self) -> Sized:
        """The training rows."""
        ...

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        ...

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch from number `start` on."""
        ...
