"""Learners of columns: they see the training rows chunk by chunk and return a state."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Learner(Protocol):
    """Learns the state of a column from its values in the training rows."""

    def add(self, values: pl.Series) -> None:
        """Add the cleaned values of one chunk."""
        ...

    def finish(self) -> Any:
        """Return the state; there may have been no value at all."""
        ...


@runtime_checkable
class RowLearner(Learner, Protocol):
    """A learner that samples rows by their numbers."""

    def add_rows(self, values: pl.Series, rows: NDArray[np.int64]) -> None:
        """Add the cleaned values of one chunk, instead of `add`.

        Args:
            values: `[B]`.
            rows: `[B]`, the number of each row in the source.

        """
        ...


@runtime_checkable
class Merging(Protocol):
    """A learner that merges the state of another one, learned from other rows.

    The result must depend neither on the order of merging nor on how the rows were divided.
    """

    def merge(self, other: Any) -> None:
        """Merge a learner of the same column; a shared table is merged by its owner."""
        ...


@runtime_checkable
class Recalling(Protocol):
    """A learner that continues from an earlier training run; other states stay unchanged."""

    def memory(self) -> Any:
        """Return, as plain data, the state from which the next training run continues."""
        ...

    def recall(self, memory: Any, state: Any) -> None:
        """Continue from a memory, if any; `finish` then keeps the inputs of `state`."""
        ...
