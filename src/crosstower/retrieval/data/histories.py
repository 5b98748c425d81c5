"""Histories of all users as one array: a user's items are contiguous, oldest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crosstower.data.layout import PADDING
from crosstower.data.ragged import Ragged
from crosstower.values.arrays import Indices


@dataclass(frozen=True)
class Histories:
    """Items `[R]` by user; those of user u are `items[starts[u]:starts[u + 1]]`.

    `times` `[R]` are those of their events, in seconds since 1970; None if they are unknown.
    """

    items: Indices
    starts: Indices
    times: Indices | None = None

    @staticmethod
    def of(user: Indices, item: Indices, *, users: int, times: Indices | None = None) -> Histories:
        """Return the histories of rows that are sorted by time within each user."""
        order = np.argsort(user, kind="stable")
        counts = np.bincount(user, minlength=users)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Histories(item[order], starts, None if times is None else times[order])

    def lengths(self) -> Indices:
        """Return the length of each user's history."""
        return np.diff(self.starts)

    def pairs(self, users: Indices) -> tuple[Indices, Indices]:
        """Return (row of `users`, item) pairs of these users' histories; -1 is an unknown user."""
        row, places = self.places(users)
        return row, self.items[places]

    def places(self, users: Indices) -> tuple[Indices, Indices]:
        """Return (row of `users`, place in `items`) pairs of histories; -1 is an unknown user."""
        known = np.maximum(users, 0)
        counts = np.where(users < 0, 0, self.starts[known + 1] - self.starts[known])
        row = np.repeat(np.arange(len(users)), counts)
        first = np.repeat(self.starts[known] - np.cumsum(counts) + counts, counts)
        return row, first + np.arange(len(row))


def tails(values: Tensor, starts: Tensor, ends: Tensor, *, length: int) -> Tensor:
    """Return the last `length` of `values[starts[i]:ends[i]]` for each i as `[B, length]`.

    Oldest first, padding after them.
    """
    if len(values) == 0:
        return torch.full((len(starts), length), PADDING, dtype=torch.int32)
    first = torch.maximum(starts, ends - length)
    places = first.unsqueeze(1) + torch.arange(length)  # [B, L]
    found = values[places.clamp(max=len(values) - 1)]
    return torch.where(places < ends.unsqueeze(1), found, PADDING).int()


@dataclass(frozen=True)
class EventTimes:
    """Times of the events in histories, and of the B rows that read these, in seconds since 1970.

    >>> times = EventTimes(torch.tensor([100, 160, 400]), torch.tensor([460]))
    >>> times.ages(torch.tensor([0]), torch.tensor([2]), length=3).tolist()
    [[360, 300, 0]]

    Args:
        events: `[R]`, int64, of all events.
        rows: `[B]`, int64.

    """

    events: Tensor
    rows: Tensor

    def ages(self, starts: Tensor, ends: Tensor, *, length: int) -> Tensor:
        """Return the seconds from the events of `tails` to their rows, `[B, length]`.

        An event at the time of its row, or after it by a clock that is ahead, has the age 0.
        """
        if len(self.events) == 0:
            return torch.zeros(len(starts), length, dtype=torch.int64)
        places = torch.maximum(starts, ends - length).unsqueeze(1) + torch.arange(length)
        found = self.rows.unsqueeze(1) - self.events[places.clamp(max=len(self.events) - 1)]
        return torch.where(places < ends.unsqueeze(1), found, 0).clamp(min=0)


def sets(values: Tensor, starts: Tensor, ends: Tensor, *, length: int) -> Ragged:
    """Return the distinct values among the last `length` of `values[starts[i]:ends[i]]`."""
    counts = torch.minimum(ends - starts, torch.as_tensor(length))
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    places = torch.arange(int(offsets[-1])) + (ends - offsets[1:]).repeat_interleave(counts)
    owners = torch.arange(len(counts)).repeat_interleave(counts)
    pairs = torch.unique(torch.stack([owners, values[places].long()], 1), dim=0)  # [V, 2]
    distinct = torch.bincount(pairs[:, 0], minlength=len(counts))
    offsets = torch.cat([distinct.new_zeros(1), distinct.cumsum(0)])
    return Ragged(pairs[:, 1].int(), offsets, length)
