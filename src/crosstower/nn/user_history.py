"""The mix of a user's embedding and history of SimpleX (Mao et al. 2021)."""

from __future__ import annotations

from torch import Tensor, nn


class UserHistoryMix(nn.Module):
    """Weighted sum of a user's embedding and the transformed, pooled history.

    q = g·u + (1 - g)·V p (Mao et al. 2021, section 4.2): u is the user's embedding, p the pooled
    embeddings of the history, V a trained matrix and g a constant weight. V starts as the identity,
    so that a history points to its own items from the first step on.

    >>> import torch
    >>> mix = UserHistoryMix(2, user_weight=0.25)
    >>> mix(torch.tensor([[4.0, 0.0, 0.0, 8.0]]))
    tensor([[1., 6.]], grad_fn=<AddBackward0>)

    Args:
        width: D.
        user_weight: g, in [0, 1].

    """

    def __init__(self, width: int, *, user_weight: float) -> None:
        super().__init__()
        self.user_weight = user_weight
        self.history = nn.Linear(width, width, bias=False)  # V
        nn.init.eye_(self.history.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, D]` from the user's embedding and the pooled history, `[B, 2D]`."""
        user, pooled = x.chunk(2, dim=1)
        return self.user_weight * user + (1 - self.user_weight) * self.history(pooled)
