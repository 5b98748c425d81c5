"""What the training loop is given: an objective, a stream of batches, an observer."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, Protocol

from torch import Tensor, nn


class Observer(Protocol):
    """Watches a training: a progress bar, a log file."""

    def begin(self, *, rows: int, epoch: int) -> None:
        """Note that an epoch of `rows` training rows starts."""
        ...

    def advance(self, *, rows: int, loss: float) -> None:
        """Note that a step over `rows` rows gave this loss."""
        ...

    def finish(self, record: dict[str, Any]) -> None:
        """Note that an epoch ended with these numbers."""
        ...


class Objective(Protocol):
    """What is learnt from a batch: of labelled rows for a ranker, of pairs for a retriever."""

    def begin_epoch(self, model: nn.Module) -> None:
        """Get ready for an epoch."""
        ...

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Return the loss of a batch."""
        ...

    def rows(self, batch: Any) -> Tensor:
        """Return how many rows of a batch the loss of each head is the mean of `[T]`."""
        ...

    def backward(self, model: nn.Module, loss: Tensor) -> None:
        """Leave the gradients of the last loss on the parameters of the model."""
        ...

    def log_values(self) -> dict[str, float]:
        """Return numbers worth keeping with the record of an epoch."""
        ...

    def describe(self, batch: Any) -> list[str]:
        """Return lines that help to find out why the loss of a batch is not finite."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed training needs besides weights."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        ...


class Stream(Protocol):
    """Batches by epoch, the same for the same epoch, on the CPU."""

    @property
    def size(self) -> int:
        """Rows of a batch."""
        ...

    @property
    def rows(self) -> Sized:
        """The training rows."""
        ...

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        ...

    def epoch(self, epoch: int = 0, *, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch from number `start` on."""
        ...
