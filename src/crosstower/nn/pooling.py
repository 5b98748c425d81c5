"""Pooling of a list of vectors into one vector: maximum, attention or a recurrent network.

Shapes: `rows` `[B, L, D]`, oldest first, and the mask `present` `[B, L]`, False for padding, which
follows the values. An empty list gives zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.layout import PADDING
from crosstower.data.ragged import Ragged

_HEADS = 2


def max_pool(rows: Tensor, present: Tensor) -> Tensor:
    """Return the maximum of each dimension over the values of a list.

    >>> import torch
    >>> rows = torch.tensor([[[1.0, 5.0], [3.0, 2.0], [9.0, 9.0]]])
    >>> max_pool(rows, torch.tensor([[True, True, False]]))
    tensor([[3., 5.]])

    Args:
        rows: `[B, L, D]`.
        present: `[B, L]`, False for padding.

    Returns:
        `[B, D]`; zeros for an empty list.

    """
    highest = rows.masked_fill(~present.unsqueeze(-1), float("-inf")).amax(1)
    return torch.where(present.any(1, keepdim=True), highest, 0.0)


def ragged_max(rows: Tensor, lists: Ragged) -> Tensor:
    """Return `max_pool` `[B, D]` of B ragged lists, from the rows `[V, D]` of their V values."""
    owners = lists.owners().unsqueeze(1).expand_as(rows)
    lowest = rows.new_full((len(lists), rows.shape[1]), float("-inf"))
    highest = lowest.scatter_reduce(0, owners, rows, "amax")
    return torch.where((lists.counts > 0).unsqueeze(1), highest, 0.0)


class AttentionPool(nn.Module):
    """One transformer block, read at the newest value (Vaswani et al. 2017; SASRec, Kang 2018).

    y = x_n + MHA(LN(x_n), LN(x)), out = LN(y + FFN(LN(y))), where x is the rows plus a learned
    embedding of their age in steps. Only the newest position is a query, so the cost is linear in
    L.

    >>> import torch
    >>> pool = AttentionPool(8, length=5)
    >>> pool(torch.ones(2, 3, 8), torch.tensor([[True, True, False], [True, True, True]])).shape
    torch.Size([2, 8])

    Args:
        width: D.
        length: largest L.
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
        """Return `[B, D]` for rows `[B, L, D]` and their mask `[B, L]`."""
        count = present.sum(1)  # [B]
        newest = (count - 1).clamp(min=0)
        place = torch.arange(rows.shape[1], device=rows.device)
        age = (newest.unsqueeze(1) - place).clamp(min=0)  # [B, L]
        x = self.drop(rows * rows.shape[-1] ** 0.5 + F.embedding(age, self.age))
        last = x[torch.arange(x.shape[0], device=x.device), newest]  # [B, D]
        query = self._by_head(self.query(self.before(last)).unsqueeze(1))
        key, value = (self._by_head(t) for t in self.key_value(self.before(x)).chunk(2, -1))
        allowed = present | (place == 0)  # a softmax over no value is undefined
        found = F.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed[:, None, None, :]
        )  # [B, heads, 1, D / heads]
        y = last + self.drop(self.out(found.flatten(1)))
        pooled = self.after(y + self.drop(self.feed_forward(self.between(y))))
        return torch.where((count > 0).unsqueeze(1), pooled, 0.0)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, L, D / heads]


class GruPool(nn.Module):
    """Final state of a gated recurrent unit (GRU4Rec, Hidasi et al. 2016).

    >>> import torch
    >>> pool = GruPool(8, length=5)
    >>> pool(torch.ones(2, 3, 8), torch.tensor([[True, True, False], [True, True, True]])).shape
    torch.Size([2, 8])

    Args:
        width: D.
        length: largest L; not used, every pooling takes it.
        dropout: of the rows and of the final state.

    """

    def __init__(self, width: int, length: int, *, dropout: float = 0.1) -> None:
        del length  # a recurrent network takes any length
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        """Return `[B, D]` for rows `[B, L, D]` and their mask `[B, L]`."""
        states, _ = self.gru(self.drop(rows * rows.shape[-1] ** 0.5))
        count = present.sum(1)
        newest = states[torch.arange(rows.shape[0], device=rows.device), (count - 1).clamp(min=0)]
        return torch.where((count > 0).unsqueeze(1), self.out(self.drop(newest)), 0.0)


UNTRAINED = ("mean", "sum", "max")
"""Poolings without weights."""

TRAINED: dict[str, type[AttentionPool | GruPool]] = {"attention": AttentionPool, "gru": GruPool}
"""Poolings with weights that give one vector per list; `nn.sequences` gives one per value."""


def without_tail(values: Tensor) -> Tensor:
    """Return lists `[B, L]` without trailing columns of padding; at least one column stays.

    A compiled or exported model keeps all columns, as its shapes must not depend on values.
    """
    if torch.compiler.is_compiling() or not len(values):
        return values
    longest = int((values != PADDING).sum(1).max())
    return values[:, : max(longest, 1)]
