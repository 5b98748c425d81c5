"""BST: a transformer over a history and a candidate (Chen et al. 2019, arXiv 1905.06874)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.nn.sequences.attention import checked_heads, positions


class BehaviourTransformer(nn.Module):
    """One transformer block over [history, candidate], read at the candidate.

    S = √D e + p, s = LN(S + MHA(S)), out = LN(s + FFN(s)), equations 2 to 5, where p is an
    embedding of the steps from a value to the candidate and FFN has a leaky ReLU. The paper feeds
    the outputs of all positions to its MLP, and measures p in time. Here only the output of the
    candidate is read, so that keys and values of a history are computed once for all candidates.

    >>> import torch
    >>> attend = BehaviourTransformer(8, length=5)
    >>> present = torch.tensor([[True, True, False]])
    >>> attend(torch.ones(4, 8), torch.ones(1, 3, 8), present).shape  # 4 candidates, one history
    torch.Size([4, 8])

    Args:
        width: D.
        length: largest L.
        dropout: of the attention's output and of the feed-forward layer.
        heads: of the attention, a divisor of D.

    Raises:
        RecipeError: D is not a multiple of the heads.

    """

    def __init__(self, width: int, length: int, *, dropout: float = 0.1, heads: int = 1) -> None:
        super().__init__()
        self.heads = checked_heads(width, heads)
        self.distance = positions(length + 1, width)  # 0 steps: the candidate itself
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.between, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.LeakyReLU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, target: Tensor, rows: Tensor, present: Tensor) -> Tensor:
        """Return the candidates after attention, `[B, D]`; zeros for an empty history.

        Args:
            target: `[B, D]`.
            rows: `[B, L, D]`, or `[1, L, D]` for a history that all candidates share.
            present: `[B, L]` or `[1, L]`, False for padding, which follows the values.

        """
        scale, count = rows.shape[-1] ** 0.5, present.sum(1, keepdim=True)
        steps = (count - torch.arange(rows.shape[1], device=rows.device)).clamp(min=0)  # [B, L]
        x = target * scale + self.distance[0]
        query, own_key, own_value = self._by_head(self.project(x))  # [B, heads, D / heads]
        history = self.project(rows * scale + F.embedding(steps, self.distance))
        _, key, value = (t.transpose(1, 2) for t in self._by_head(history))  # [B, heads, L, ...]
        scores = (key @ query.unsqueeze(-1)).squeeze(-1)  # [B, heads, L]
        scores = scores.masked_fill(~present.unsqueeze(1), float("-inf"))
        scores = torch.cat([scores, (own_key * query).sum(-1, keepdim=True)], -1)
        weights = (scores * query.shape[-1] ** -0.5).softmax(-1)
        found = (weights[..., :-1].unsqueeze(2) @ value).squeeze(2) + weights[..., -1:] * own_value
        y = self.between(x + self.drop(self.out(found.flatten(1))))
        pooled = self.after(y + self.drop(self.feed_forward(y)))
        return torch.where(count > 0, pooled, 0.0)

    def _by_head(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.unflatten(-1, (3, self.heads, -1)).unbind(-3)
