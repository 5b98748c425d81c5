"""Parts of FinalMLP: the gate of a stream, and the fusion of two streams (Mao et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crosstower.nn.mlp import MLP


class StreamGate(nn.Module):
    """Weights of the input features of a stream, from the fields that it is conditioned on.

    Mao et al. 2023 (arXiv 2304.00902), stream-specific feature selection: 2 σ(MLP(c)) ⊙ x. The
    context c is the fields of some columns, such as those of the user; without columns, it is a
    learned vector.

    >>> import torch
    >>> StreamGate(fields=3, dim=4, context=(0,), hidden=(8,))(torch.ones(5, 3, 4)).shape
    torch.Size([5, 12])

    Args:
        fields: F.
        dim: D.
        context: positions of the fields that the gate reads; none for a learned vector.
        hidden: widths of the gate's dense layers.

    """

    def __init__(
        self, *, fields: int, dim: int, context: Sequence[int], hidden: Sequence[int]
    ) -> None:
        super().__init__()
        self.register_buffer("places", torch.tensor(context, dtype=torch.long), persistent=False)
        self.learned = None if context else nn.Parameter(torch.randn(1, dim))
        self.hidden = MLP(dim * max(len(context), 1), hidden)
        self.gate = nn.Linear(self.hidden.output_width, fields * dim)

    def forward(self, fields: Tensor) -> Tensor:
        """Return `[B, F * D]` for fields `[B, F, D]`."""
        context = self.learned
        if context is None:
            context = fields.index_select(1, self.get_buffer("places")).flatten(1)
        return 2 * self.gate(self.hidden(context)).sigmoid() * fields.flatten(1)


class BilinearFusion(nn.Module):
    """Logits of two streams, first and second order, with the second order in K heads.

    Mao et al. 2023, stream-level interaction aggregation: w_1 · x + w_2 · y + b + Σ_k x_kᵀ W_k y_k,
    where x_k and y_k are K equal parts of x and y.

    >>> import torch
    >>> BilinearFusion(8, 4, outputs=3, heads=2)(torch.ones(5, 8), torch.ones(5, 4)).shape
    torch.Size([5, 3])

    Args:
        first: width of x.
        second: width of y.
        outputs: T.
        heads: K, which divides both widths.

    """

    def __init__(self, first: int, second: int, *, outputs: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.linear = nn.Linear(first + second, outputs)
        wide, narrow = first // heads, second // heads
        scale = (heads * wide * narrow) ** -0.5  # so that widths do not change the size of logits
        self.bilinear = nn.Parameter(scale * torch.randn(outputs, heads, wide, narrow))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return `[B, T]` for x `[B, first]` and y `[B, second]`."""
        parts = (side.unflatten(1, (self._heads, -1)) for side in (x, y))
        crossed = torch.einsum("bki,tkij,bkj->bt", next(parts), self.bilinear, next(parts))
        return self.linear(torch.cat([x, y], dim=1)) + crossed
