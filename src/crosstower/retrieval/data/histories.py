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
    """Items `[R]` by user; those of user u are `items[starts[u]:starts[u + 1]]`."""

    items: Indices
    starts: Indices

    @staticmethod
    def of(user: Indices, item: Indices, *, users: int) -> Histories:
        """Return the histories of rows that are sorted by time within each user."""
        order = np.argsort(user, kind="stable")
        counts = np.bincount(user, minlength=users)
        return Histories(item[order], np.concatenate([[0], np.cumsum(counts)]))

    def lengths(self) -> Indices:
        """Return the length of each user's history."""
        return np.diff(self.starts)

    def pairs(self, users: Indices) -> tuple[Indices, Indices]:
        """Return (row of `users`, item) pairs of these users' histories; -1 is an unknown user."""
        known = np.maximum(users, 0)
        counts = np.where(users < 0, 0, self.starts[known + 1] - self.starts[known])
        row = np.repeat(np.arange(len(users)), counts)
        first = np.repeat(self.starts[known] - np.cumsum(counts) + counts, counts)
        return row, self.items[first + np.arange(len(row))]


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
