"""Embeddings of users and items passed through the graph of their pairs (LightGCN)."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from crosstower.errors import RecipeError, TrainingError
from crosstower.nn.table_rows import LocalRows


class PropagatedRows(nn.Module):
    """Mean over the layers 0 to K of a table of embeddings: E⁽ᵏ⁾ = D^-½ A D^-½ E⁽ᵏ⁻¹⁾.

    LightGCN (He et al. 2020, arXiv 2002.02126, equations 4, 7 and 8). A is the 0/1 graph of
    `connect`, whose nodes are the rows of the table, followed by nodes whose E⁽⁰⁾ is zero.

    In training, the rows are those of the current table, and every step passes the whole table
    through the graph. The module keeps the rows of the last evaluation as a buffer that is stored
    with the weights, so that evaluation and serving need no graph. Without gradients, the rows are
    those of the buffer in training as well.

    >>> table = nn.Parameter(torch.tensor([[1.0], [3.0], [8.0]]))
    >>> rows = PropagatedRows(table, layers=1)
    >>> rows.connect(torch.tensor([[0], [1]]))
    >>> rows.eval().look_up(torch.tensor([0, 1, 2]))
    tensor([[2.],
            [2.],
            [4.]])

    Args:
        table: E⁽⁰⁾, `[rows, D]`; another module owns it.
        layers: K, at least 1.

    """

    vectors: Tensor

    def __init__(self, table: nn.Parameter, layers: int) -> None:
        super().__init__()
        self._tables, self._layers = [table], layers  # in a list: not a parameter of this module
        self._graph: Tensor | None = None
        self._live: tuple[int, Tensor] | None = None
        self.register_buffer("vectors", torch.zeros_like(table, requires_grad=False))
        self.register_state_dict_pre_hook(_refreshed)

    def connect(self, edges: Tensor, *, nodes: int = 0) -> None:
        """Take the graph of the training rows.

        Args:
            edges: `[2, P]`, the two nodes of each pair; a repeated pair counts once.
            nodes: at least the rows of the table; 0 for just these.

        """
        (table,) = self._tables
        self._graph = normalised_graph(edges, max(nodes, len(table))).to(table.device)

    def train(self, mode: bool = True) -> Self:
        """Switch between the current rows and those of the last evaluation, which are updated."""
        if not mode:
            self.refresh()
        return super().train(mode)

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute the stored rows, if there is a graph."""
        if self._graph is not None:
            self.vectors.copy_(propagated(self._tables[0], self._graph, self._layers))

    @contextmanager
    def fetched(self, ids: Tensor) -> Generator[None]:
        """Do nothing: the rows are here."""
        del ids
        yield

    def look_up(self, ids: Tensor) -> Tensor:
        """Return the rows `[..., D]` at `ids` `[...]`, on their device."""
        return self._rows().look_up(ids)

    def bag(
        self, ids: Tensor, offsets: Tensor | None, *, mode: str, padding: int | None = None
    ) -> Tensor:
        """Return the mean or sum `[B, D]` of the rows of B bags; see `TableRows`."""
        return self._rows().bag(ids, offsets, mode=mode, padding=padding)

    def freeze(self, ranges: Sequence[range]) -> None:
        """Refuse to freeze rows: each depends on those of its neighbours.

        Raises:
            RecipeError: there are rows to freeze.

        """
        if any(ranges):
            raise RecipeError(
                "model.graph_layers: vectors depend on the rows of their neighbours, so that none"
                " stay as they are when others learn; train without freezing, or without layers"
            )

    def _rows(self) -> LocalRows:
        live = self.training and torch.is_grad_enabled()
        return LocalRows(self._current() if live else self.vectors)  # pyright: ignore[reportArgumentType] - any tensor

    def _current(self) -> Tensor:
        """Return the rows of the current table, computed once per step."""
        (table,) = self._tables
        if self._graph is None:
            raise TrainingError(
                "model.graph_layers: this model has no graph to be trained on; train it by"
                " crosstower fit, or call connect with the pairs first"
            )
        if self._live is None or self._live[0] != table._version:
            rows = _Propagation.apply(table, self._graph, self._layers)
            rows.register_hook(self._forget)
            self._live = table._version, rows
        return self._live[1]

    def _forget(self, gradient: Tensor) -> None:
        del gradient
        self._live = None  # its graph of operations is used up


class _Propagation(torch.autograd.Function):
    """`propagated`, which is its own transpose, with a gradient that tables of embeddings have."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, graph: Tensor, layers: int) -> Tensor:
        ctx.graph, ctx.layers = graph, layers
        return propagated(table, graph, layers)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        dense = grads[0].to_dense() if grads[0].is_sparse else grads[0]
        values = propagated(dense, ctx.graph, ctx.layers)
        rows = torch.arange(len(values), device=values.device).unsqueeze(0)
        found = torch.sparse_coo_tensor(
            rows, values, values.shape, is_coalesced=True, check_invariants=False
        )
        return found, None, None


def propagated(table: Tensor, graph: Tensor, layers: int) -> Tensor:
    """Return the mean over the layers 0 to K of a table, `[rows, D]`.

    Args:
        table: E⁽⁰⁾, `[rows, D]`.
        graph: from `normalised_graph`, with at least as many nodes.
        layers: K.

    """
    with torch.autocast(table.device.type, enabled=False):  # it has no sparse products
        layer = table.float()
        layer = torch.cat([layer, layer.new_zeros(len(graph) - len(layer), layer.shape[1])])
        total = layer
        for _ in range(layers):
            layer = graph @ layer
            total = total + layer
        return total[: len(table)] / (layers + 1)


def normalised_graph(edges: Tensor, nodes: int) -> Tensor:
    """Return D^-½ A D^-½ of an undirected graph, sparse `[nodes, nodes]`.

    >>> normalised_graph(torch.tensor([[0, 0], [1, 2]]), 3).to_dense()
    tensor([[0.0000, 0.7071, 0.7071],
            [0.7071, 0.0000, 0.0000],
            [0.7071, 0.0000, 0.0000]])

    Args:
        edges: `[2, P]`; a repeated pair counts once.
        nodes: their number.

    """
    both = torch.cat([edges, edges.flip(0)], 1).long()
    pairs = torch.unique(both[0] * nodes + both[1])
    row, column = pairs // nodes, pairs % nodes
    degree = torch.bincount(row, minlength=nodes)
    root = degree.clamp(min=1).rsqrt()
    starts = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sparse rows are in beta
        return torch.sparse_csr_tensor(
            starts, column, root[row] * root[column], (nodes, nodes), check_invariants=False
        )


def _refreshed(module: nn.Module, prefix: str, keep_vars: bool) -> None:
    del prefix, keep_vars
    if isinstance(module, PropagatedRows):
        module.refresh()
