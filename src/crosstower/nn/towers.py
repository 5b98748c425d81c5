"""A tower: the columns of one side into one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.data.request import Request
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.mlp import MLP

SHORTEST = 1e-3
"""Length below which a vector is scaled by 1 / SHORTEST instead of to length 1."""


def unit_vectors(x: Tensor) -> Tensor:
    """Return x / max(‖x‖, 1e-3) `[B, D]`: vectors of length 1, zero rows as they are.

    The gradient of normalising is that of the result over ‖x‖. The limit keeps it finite at zero
    and below 1,000 times anywhere, so that one row does not use up `training.clip_norm` for all.
    """
    return F.normalize(x, dim=1, eps=SHORTEST)


class Tower(nn.Module):
    """Embeddings and numbers of some columns, dense layers, a linear layer to `[B, D]`.

    The store is handed in at each call, not owned: both towers look into the same one, so that a
    history can share its table with the items.

    Args:
        store: gives the names and widths of the fields.
        layout: of the whole model.
        columns: the tower's columns.
        hidden: widths of the dense layers; none makes the tower linear in its inputs, and a single
            field of width D passes as it is.
        dim: D.
        dropout: after each dense layer.
        normalise: vectors of length 1, so that a dot product is a cosine; see `unit_vectors`.

    """

    def __init__(
        self,
        store: EmbeddingStore,
        layout: Layout,
        columns: Sequence[str],
        *,
        hidden: Sequence[int],
        dim: int,
        dropout: float,
        normalise: bool,
    ) -> None:
        super().__init__()
        self._columns = frozenset(columns)
        self._fields = [name for name in store.names if name in columns]
        single = [name for name in self._fields if store.is_single(name)]
        widths = {store.width(name) for name in single}
        # Single-valued fields come first; if all are equally wide, one look-up gets them.
        self._width = widths.pop() if len(widths) == 1 else None
        self._others = self._fields[len(single) :] if self._width is not None else self._fields
        for name, places in zip(("columns", "offsets"), store.places_of(single), strict=True):
            self.register_buffer(name, places, persistent=False)
        numbers = [i for i, c in enumerate(layout.columns_of_numbers()) if c in columns]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.long), persistent=False)
        width = sum(store.width(name) for name in self._fields) + len(numbers)
        self.mlp = MLP(width, hidden, dropout=dropout)
        # One field as wide as the vector is the vector: the item's embedding itself.
        plain = len(self._fields) == 1 and not numbers and not hidden and width == dim
        self.head = nn.Identity() if plain else nn.Linear(self.mlp.output_width, dim)
        self.finish = unit_vectors if normalise else nn.Identity()

    def forward(self, store: EmbeddingStore, batch: Batch) -> Tensor:
        """Return `[B, D]`, or `[1, D]` where all rows of a request share the tower's columns."""
        if isinstance(batch, Request) and batch.shared.issuperset(self._columns):
            batch = batch[:1]
        parts = [store.field(name, batch.codes, batch.lists) for name in self._others]
        if self._width is not None:
            columns, offsets = self.get_buffer("columns"), self.get_buffer("offsets")
            parts.insert(0, store.rows(batch.codes, columns, offsets, self._width))
        x = torch.cat(
            [*parts, batch.numbers.index_select(1, self.get_buffer("numbers"))], dim=1
        )  # [B, W]
        return self.finish(self.head(self.mlp(x)))
