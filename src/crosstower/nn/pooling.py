"""A list of vectors into one: maximum, attention or a recurrent network.

Shapes: rows `[B, L, D]`, oldest first, and `present` `[B, L]`, which of them are values; padding
comes after them. A list without a value gives zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.ragged import Ragged

_HEADS = 2


def max_pool(rows: Tensor, present: Tensor) -> Tensor:
    """Return the largest value of each dimension `[B, D]`."""
    highest = rows.masked_fill(~present.unsqueeze(-1), float("-inf")).amax(1)
    return torch.where(present.any(1, keepdim=True), highest, 0.0)


def ragged_max(rows: Tensor, lists: Ragged) -> Tensor:
    """Return what `max_pool` does `[B, D]`, from the rows `[V, D]` of the values of B lists."""
    owners = lists.owners().unsqueeze(1).expand_as(rows)
    lowest = rows.new_full((len(lists), rows.shape[1]), float("-inf"))
    highest = lowest.scatter_reduce(0, owners, rows, "amax")
    return torch.where((lists.counts > 0).unsqueeze(1), highest, 0.0)


class AttentionPool(nn.Module):
    """One transformer block read from the newest value (Vaswani et al. 2017; SASRec, Kang 2018).

    y = x_n + MHA(LN(x_n), LN(x)), out = LN(y + FFN(LN(y))), with x the rows plus a learnt vector
    for how many steps ago each one was. Only the newest position asks, so the cost is linear in L.

    Args:
        width: D.
        length: L at most.
        dropout: of the rows, the attention's output and the feed-forward layer.

    """

    def __init__(self, width: int, length: int, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads = _HEADS if width % _HEADS == 0 else 1
        self.age = nn.Parameter(torch.randn(length, width) * 0.05)
        self.before, self.between, self.after = (nn.LayerNorm(width) for _ in range(3))
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        """Return `[B, D]`."""
        count = present.sum(1)  # [B]
        newest = (count - 1).clamp(min=0)
        place = torch.arange(rows.shape[1], device=rows.device)
        age = (newest.unsqueeze(1) - place).clamp(min=0)  # [B, L]
        x = self.drop(rows * rows.shape[-1] ** 0.5 + F.embedding(age, self.age))
        last = x[torch.arange(x.shape[0], device=x.device), newest]  # [B, D]
        query = self._by_head(self.query(self.before(last)).unsqueeze(1))
        key, value = (self._by_head(t) for t in self.key_value(self.before(x)).chunk(2, -1))
        allowed = present | (place == 0)  # a softmax over nothing is not defined
        found = F.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed[:, None, None, :]
        )  # [B, heads, 1, D / heads]
        y = last + self.drop(self.out(found.flatten(1)))
        pooled = self.after(y + self.drop(self.feed_forward(self.between(y))))
        return torch.where((count > 0).unsqueeze(1), pooled, 0.0)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, L, D / heads]


class GruPool(nn.Module):
    """The state of a gated recurrent unit after the newest value (GRU4Rec, Hidasi et al. 2016)."""

    def __init__(self, width: int, length: int, *, dropout: float = 0.1) -> None:
        del length  # any length will do
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        """Return `[B, D]`."""
        states, _ = self.gru(self.drop(rows * rows.shape[-1] ** 0.5))
        count = present.sum(1)
        newest = states[torch.arange(rows.shape[0], device=rows.device), (count - 1).clamp(min=0)]
        return torch.where((count > 0).unsqueeze(1), self.out(self.drop(newest)), 0.0)
