"""HSTU over a history and a candidate (Zhai et al. 2024, arXiv 2402.17152, section 2.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.sequences.hstu import Hstu, HstuBlock
from crosstower.nn.sequences.steps import Steps
from crosstower.nn.sequences.time_bias import time_buckets


class TargetHstu(nn.Module):
    """Causal HSTU over [history, candidate], read at the candidate.

    The blocks are those of `Hstu`. No value of the history reads the candidate, so a history is
    encoded once for all candidates of a request, and each candidate then reads it in every block.

    >>> import torch
    >>> attend = TargetHstu(8, length=5)
    >>> present = torch.tensor([[True, True, False]])
    >>> attend(torch.ones(4, 8), torch.ones(1, 3, 8), present).shape  # 4 candidates, one history
    torch.Size([4, 8])

    Args:
        width: D.
        length: largest L.
        dropout: of the input and the output of each block.
        blocks: number of blocks.
        heads: of the attention, a divisor of D.
        times: add a bias by the time between events; the candidate's time is that of the row.

    Raises:
        RecipeError: D is not a multiple of the heads.

    """

    def __init__(
        self,
        width: int,
        length: int,
        *,
        dropout: float = 0.1,
        blocks: int = 2,
        heads: int = 1,
        times: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = Hstu(
            width, length + 1, dropout=dropout, blocks=blocks, heads=heads, times=times
        )

    def forward(
        self, target: Tensor, rows: Tensor, present: Tensor, ages: Tensor | None = None
    ) -> Tensor:
        """Return the candidates after all blocks, `[B, D]`; zeros for an empty history.

        Args:
            target: `[B, D]`.
            rows: `[B, L, D]`, or `[1, L, D]` for a history that all candidates share.
            present: `[B, L]` or `[1, L]`, False for padding, which follows the values.
            ages: `[B, L]` or `[1, L]`, seconds from a value's event to the row; None without times.

        """
        encoder, steps, count = self.encoder, Steps.of(present, ages=ages), present.sum(1)
        since = None if ages is None else time_buckets(ages)
        x = encoder.placed(rows, steps.place)  # [B, L, D]
        y = encoder.placed(target, count)  # [B, D]
        for number, block in enumerate(encoder.blocks, 1):
            y = _read(block, y, x, present, since)  # pyright: ignore[reportArgumentType]
            if number < len(encoder.blocks):
                x = block(x, steps)
        return torch.where((count > 0).unsqueeze(1), encoder.norm(y), 0.0)


def _read(block: HstuBlock, y: Tensor, x: Tensor, present: Tensor, since: Tensor | None) -> Tensor:
    """Return a block's output `[B, D]` for candidates that stand after a history `[B, L, D]`.

    `since` are the buckets `[B, L]` of the time from each value to the candidates.
    """
    gate, own_value, query, own_key = F.silu(block.project(block.before(y))).chunk(4, -1)
    _, value, _, key = F.silu(block.project(block.before(x))).chunk(4, -1)
    query, own_key, own_value = (
        t.unflatten(-1, (block.heads, -1)) for t in (query, own_key, own_value)
    )
    key, value = (t.unflatten(-1, (block.heads, -1)).transpose(1, 2) for t in (key, value))
    column = torch.arange(x.shape[1], device=x.device)
    distance = (present.sum(1, keepdim=True) - column).clamp(0, block.length - 1)  # [B, L]
    bias = F.embedding(distance, block.distance_bias).transpose(1, 2)  # [B, heads, L]
    own_bias = block.distance_bias[0]  # [heads]
    if block.time_bias is not None and since is not None:
        bias = bias + block.time_bias(since)
        own_bias = own_bias + block.time_bias.weight[0]  # no time from a candidate to itself
    weights = F.silu((key @ query.unsqueeze(-1)).squeeze(-1) + bias) / block.length
    weights = weights.masked_fill(~present.unsqueeze(1), 0.0)
    own = F.silu((query * own_key).sum(-1) + own_bias) / block.length  # [B, heads]
    found = (weights.unsqueeze(2) @ value).squeeze(2) + own.unsqueeze(-1) * own_value
    return y + block.drop(block.out(block.between(found.flatten(1)) * gate))
