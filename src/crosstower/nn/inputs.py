"""The input of a deep model: embeddings and numbers, concatenated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from crosstower.data.layout import Layout
from crosstower.data.ragged import Lists
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.mlp import MLP

_ALIGNED = 16  # floats in a vector register


class DenseInput(nn.Module):
    """Embeddings of all fields, concatenated with the numbers: `[B, W]`, W = `output_width`.

    The numbers may go through dense layers first: the bottom MLP of DLRM (Naumov et al. 2019, arXiv
    1906.00091).

    A W above 64 is padded with zeros to a multiple of 16: matrix products with unaligned rows take
    almost twice the time on a CPU.

    >>> import torch, crosstower as ct
    >>> user = ct.CodeField("user_id", size=100, table="user_id")
    >>> layout = ct.Layout(codes=(user,), numbers=("age",), lists=(), heads=())
    >>> read = DenseInput(layout, dim=4)
    >>> read(torch.tensor([[7], [8]]), torch.tensor([[0.3], [-1.2]]), {}).shape
    torch.Size([2, 5])

    Args:
        layout: fields and numbers of the model.
        dim: D of fields that do not set their own.
        numbers_hidden: widths of dense layers over the numbers; none leaves them as they are.

    """

    def __init__(self, layout: Layout, *, dim: int, numbers_hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.embed = EmbeddingStore(layout.codes, layout.lists, dim=dim)
        self.numbers = MLP(len(layout.numbers), numbers_hidden)
        width = self.embed.output_width + self.numbers.output_width
        self._zeros = -width % _ALIGNED if width > 4 * _ALIGNED else 0
        self.output_width = width + self._zeros

    def forward(self, codes: Tensor, numbers: Tensor, lists: Mapping[str, Lists]) -> Tensor:
        """Return `[B, W]` for codes `[B, F]`, numbers `[B, N]` and lists of B rows."""
        zeros = numbers.new_zeros((numbers.shape[0], self._zeros))
        parts = [self.embed(codes, lists), self.numbers(numbers), zeros]
        # Cast once here, not in every layer that reads it; products and sums stay narrow as well.
        return torch.cat([as_autocast(part) for part in parts], dim=1)


def as_autocast(x: Tensor) -> Tensor:
    """Return `x` in the dtype of autocast, if autocast is on."""
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return x
    return x.to(torch.get_autocast_dtype(device))


def by_head(layout: Layout, logits: Tensor) -> dict[str, Tensor]:
    """Return logits by head, the output of every model.

    >>> import torch, crosstower as ct
    >>> heads = (ct.Head("click", "binary"), ct.Head("like", "binary"))
    >>> layout = ct.Layout(codes=(), numbers=("age",), lists=(), heads=heads)
    >>> by_head(layout, torch.tensor([[0.5, -2.0]]))
    {'click': tensor([0.5000]), 'like': tensor([-2.])}

    Args:
        layout: with T heads.
        logits: `[B, T]`.

    Returns:
        {head: `[B]`}.

    """
    return {head.name: logits[:, i] for i, head in enumerate(layout.heads)}
