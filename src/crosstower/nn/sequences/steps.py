"""The steps of histories: which history a value belongs to, and which values it may read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from crosstower.nn.sequences.time_bias import event_buckets


@dataclass(frozen=True)
class Steps:
    """Positions of the values of histories `[B, L]`; several histories may share a row.

    >>> steps = Steps.of(torch.tensor([[True, True, False]]))
    >>> steps.place.tolist(), steps.allowed.int().tolist()
    ([[0, 1, 2]], [[[1, 0, 0], [1, 1, 0], [0, 0, 1]]])

    Args:
        place: `[B, L]`, position of a value in its own history; 0 is the oldest.
        allowed: `[B, L, L]`, whether value i may read value j: itself and earlier ones of its
            history. Padding reads only itself, so that a softmax is always over some value.
        times: `[B, L, L]`, bucket of the time from value j to the event after value i, see
            `event_buckets`; None without times.

    """

    place: Tensor
    allowed: Tensor
    times: Tensor | None = None

    @staticmethod
    def of(present: Tensor, first: Tensor | None = None, ages: Tensor | None = None) -> Steps:
        """Return the steps of values.

        Args:
            present: `[B, L]`, False for padding.
            first: `[B, L]`, the column in which the history of each value begins; 0 if None.
            ages: `[B, L]`, seconds from a value's event to the one that is predicted; None without
                times.

        """
        column = torch.arange(present.shape[1], device=present.device)
        earlier = column <= column.unsqueeze(1)  # [L, L]
        allowed = earlier & present.unsqueeze(1) & present.unsqueeze(2)  # [B, L, L]
        if first is not None:
            allowed = allowed & (first.unsqueeze(2) == first.unsqueeze(1))
        allowed = allowed | (column == column.unsqueeze(1))
        place = column.expand(present.shape) if first is None else column - first
        times = None if ages is None else event_buckets(ages, first)
        return Steps(place, allowed, times)

    def needed_times(self) -> Tensor:
        """Return the buckets of times `[B, L, L]`.

        Raises:
            ValueError: there are none.

        """
        if self.times is None:
            raise ValueError("the encoder reads times, but its input has none; give ages")
        return self.times

    def distance(self) -> Tensor:
        """Return `[L, L]`, the steps from value j to value i; 0 where j is not earlier."""
        column = torch.arange(self.place.shape[1], device=self.place.device)
        return (column.unsqueeze(1) - column).clamp(min=0)


def newest(outputs: Tensor, present: Tensor) -> Tensor:
    """Return the output `[B, D]` at the newest value of each history; zeros for an empty one.

    Args:
        outputs: `[B, L, D]`.
        present: `[B, L]`, False for padding, which follows the values.

    """
    count = present.sum(1)
    at = (count - 1).clamp(min=0)
    found = outputs[torch.arange(outputs.shape[0], device=outputs.device), at]
    return torch.where((count > 0).unsqueeze(1), found, 0.0)
