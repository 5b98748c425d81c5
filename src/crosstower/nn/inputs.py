"""Everything a deep side reads, concatenated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists
from crosstower.nn.embedding import EmbeddingStore

_ALIGNED = 16  # floats in a vector register


class DenseInput(nn.Module):
    """Embeddings of all fields beside the numbers: `[B, W]`, W = `output_width`.

    A wide W is rounded up to a multiple of 16 by columns of zeros, on which nothing depends: with
    rows that start anywhere, matrix products on a processor take almost twice the time.
    """

    def __init__(self, layout: Layout, *, dim: int) -> None:
        super().__init__()
        self.embed = EmbeddingStore(layout.codes, layout.lists, dim=dim)
        width = self.embed.output_width + len(layout.numbers)
        self._zeros = -width % _ALIGNED if width > 4 * _ALIGNED else 0
        self.output_width = width + self._zeros

    def forward(self, codes: Tensor, numbers: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, W]` for codes `[B, F]`, numbers `[B, N]` and lists of B rows."""
        zeros = numbers.new_zeros((numbers.shape[0], self._zeros))
        parts = [self.embed(codes, lists), numbers, zeros]
        # Once here, not by every layer that reads it; products and sums then stay narrow as well.
        return torch.cat([_as_autocast(part) for part in parts], dim=1)


def _as_autocast(x: Tensor) -> Tensor:
    """Return `x` in the type that autocast computes in, where it is on."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return x
    return x.to(torch.get_autocast_dtype(device))


def by_head(layout: Layout, logits: Tensor) -> dict[str, Tensor]:
    """Return logits `[B, T]` as {head: `[B]`}."""
    return {head.name: logits[:, i] for i, head in enumerate(layout.heads)}
