"""Query and item towers: some columns of a batch as one vector per row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.data.request_batch import Request
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.mlp import MLP
from crosstower.nn.user_history import UserHistoryMix

SHORTEST = 1e-3
"""Length below which a vector is divided by SHORTEST instead of by its length."""


def unit_vectors(x: Tensor) -> Tensor:
    """Return x / max(‖x‖, 1e-3): vectors of length 1; zero vectors stay zero.

    Normalising scales the gradient by 1 / ‖x‖. The limit keeps that factor below 1,000, so that a
    single short vector does not exhaust `training.clip_norm`.

    >>> import torch
    >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])

    Args:
        x: `[B, D]`.

    Returns:
        `[B, D]`.

    """
    return F.normalize(x, dim=1, eps=SHORTEST)


class Tower(nn.Module):
    """Embeddings and numbers of some columns, dense layers, and a linear layer to `[B, D]`.

    The store is passed to each call and not owned: both towers share it, so that a history can
    share its table with the items.

    >>> import torch, crosstower as ct
    >>> item = ct.CodeField("item_id", size=100, table="item_id")
    >>> layout = ct.Layout(codes=(item,), numbers=("price",), lists=(), heads=())
    >>> store = ct.nn.EmbeddingStore(layout.codes, layout.lists, dim=4)
    >>> tower = Tower(
    ...     store, layout, ["item_id", "price"], hidden=(16,), dim=8, dropout=0.0, normalise=True
    ... )
    >>> batch = ct.Batch(torch.tensor([[3], [4]]), torch.zeros(2, 1), {}, torch.zeros(2, 0))
    >>> tower(store, batch).shape
    torch.Size([2, 8])

    Args:
        store: defines names and widths of the fields.
        layout: of the whole model.
        columns: the tower's columns.
        hidden: widths of the dense layers; none makes the tower linear in its inputs, and a single
            field of width D is then used unchanged.
        dim: D.
        dropout: after each dense layer, in [0, 1).
        normalise: scale vectors to length 1, so that a dot product is a cosine; see `unit_vectors`.
        user_weight: weight of the first of two fields of width D, a user and a history, which
            `UserHistoryMix` sums up instead of a linear layer; None without.

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
        user_weight: float | None = None,
    ) -> None:
        super().__init__()
        self._columns = frozenset(columns)
        self._fields = [name for name in store.names if name in columns]
        single = [name for name in self._fields if store.is_single(name)]
        widths = {store.width(name) for name in single}
        # Single-valued fields come first; if all have the same width, one look-up suffices.
        self._width = widths.pop() if len(widths) == 1 else None
        self._others = self._fields[len(single) :] if self._width is not None else self._fields
        self._pools = any(store.pool(name) is not None for name in self._fields)
        for name, places in zip(("columns", "offsets"), store.places_of(single), strict=True):
            self.register_buffer(name, places, persistent=False)
        numbers = [i for i, c in enumerate(layout.columns_of_numbers()) if c in columns]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.long), persistent=False)
        width = sum(store.width(name) for name in self._fields) + len(numbers)
        self.mlp = MLP(width, hidden, dropout=dropout)
        # A single field of the vector's width is the vector: the item's embedding itself.
        plain = len(self._fields) == 1 and not numbers and not hidden and width == dim
        self.head = nn.Identity() if plain else nn.Linear(self.mlp.output_width, dim)
        if user_weight is not None:
            self.head = UserHistoryMix(dim, user_weight=user_weight)
        self.finish = unit_vectors if normalise else nn.Identity()

    @property
    def column_names(self) -> frozenset[str]:
        """The tower's columns."""
        return self._columns

    def forward(self, store: EmbeddingStore, batch: Batch) -> Tensor:
        """Return `[B, D]`, or `[1, D]` if all rows of a request share the tower's columns."""
        if isinstance(batch, Request) and batch.shared.issuperset(self._columns):
            batch = batch[:1]
        return self._dense(self._inputs(store, batch))

    def each(self, store: EmbeddingStore, batch: Batch) -> Tensor:
        """Return `forward` of each row by itself `[B, D]`: the same to the last bit for any B.

        A matrix product rounds differently for each shape, so the rows go through layers one by
        one; what is looked up, or pooled without weights, is the same in any batch.
        """
        if self._pools:
            return torch.cat([self(store, batch[row : row + 1]) for row in range(len(batch))])
        return torch.cat([self._dense(x) for x in self._inputs(store, batch).split(1)])

    def _inputs(self, store: EmbeddingStore, batch: Batch) -> Tensor:
        """Return embeddings and numbers `[B, W]`."""
        parts = [store.field(name, batch.codes, batch.lists) for name in self._others]
        if self._width is not None:
            columns, offsets = self.get_buffer("columns"), self.get_buffer("offsets")
            parts.insert(0, store.rows(batch.codes, columns, offsets, self._width))
        return torch.cat([*parts, batch.numbers.index_select(1, self.get_buffer("numbers"))], dim=1)

    def _dense(self, x: Tensor) -> Tensor:
        """Return `[B, D]` from `[B, W]`."""
        return self.finish(self.head(self.mlp(x)))
