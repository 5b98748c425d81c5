"""Everything a deep side reads, concatenated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crosstower.layout import Layout
from crosstower.nn.embedding import EmbeddingStore


class DenseInput(nn.Module):
    """Embeddings of all fields beside the numbers: `[B, W]`, W = `output_width`."""

    def __init__(self, layout: Layout, *, dim: int) -> None:
        super().__init__()
        self.embed = EmbeddingStore(layout.codes, layout.lists, dim=dim)
        self.output_width = self.embed.output_width + len(layout.numbers)

    def forward(self, codes: Tensor, numbers: Tensor, lists: dict[str, Tensor]) -> Tensor:
        """Return `[B, W]` for codes `[B, F]`, numbers `[B, N]` and lists of `[B, L]`."""
        return torch.cat([self.embed(codes, lists), numbers], dim=1)


def by_head(layout: Layout, logits: Tensor) -> dict[str, Tensor]:
    """Return logits `[B, T]` as {head: `[B]`}."""
    return {head.name: logits[:, i] for i, head in enumerate(layout.heads)}
