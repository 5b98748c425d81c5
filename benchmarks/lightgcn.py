"""LightGCN in PyTorch, written from the paper (He et al. 2020), as a peer of the benchmarks.

Embeddings of all users and items are passed K times through the graph of training pairs, divided by
the roots of both numbers of neighbours (equation 7); their mean over the layers 0 to K is scored by
inner products (equations 4, 8 and 9). Loss: BPR over one uniform negative per pair, plus an L2
penalty of the layer-0 embeddings of each batch (equation 15).
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor


@dataclass(frozen=True)
class Settings:
    layers: int = 3
    width: int = 64
    rate: float = 1e-3
    l2: float = 1e-4
    batch: int = 2048
    epochs: int = 1000
    patience: int = 10
    every: int = 5  # epochs between evaluations


class Propagation(torch.autograd.Function):
    """A x for a symmetric sparse A, whose gradient is A g."""

    @staticmethod
    def forward(ctx, x: Tensor, graph: Tensor) -> Tensor:
        ctx.graph = graph
        return graph @ x

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.graph @ grads[0], None


def graph_of(pairs: sparse.csr_array) -> Tensor:
    """Return D^-1/2 A D^-1/2 of the bipartite graph `[U + N, U + N]` (equation 8)."""
    whole = sparse.block_array([[None, pairs], [pairs.T, None]]).tocsr().astype(np.float32)
    degree = np.diff(whole.indptr)
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros(len(degree)), where=degree > 0)
    scaled = sparse.csr_array(sparse.diags_array(root) @ whole @ sparse.diags_array(root))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sparse tensors are in beta, and not checked
        return torch.sparse_csr_tensor(
            torch.from_numpy(scaled.indptr.astype(np.int64)),
            torch.from_numpy(scaled.indices.astype(np.int64)),
            torch.from_numpy(scaled.data.astype(np.float32)),
            scaled.shape,
        )


def propagated(embeddings: Tensor, graph: Tensor, layers: int) -> Tensor:
    """Return the mean over the layers 0 to `layers` (equation 4 with weights 1 / (K + 1))."""
    total = layer = embeddings
    for _ in range(layers):
        layer = Propagation.apply(layer, graph)
        total = total + layer
    return total / (layers + 1)


def fit(pairs: sparse.csr_array, settings: Settings, *, seed: int, validate=None):
    """Return the vectors of users and items, and the number of epochs.

    Args:
        pairs: 0/1 matrix `[U, N]` of training pairs.
        settings: of the training.
        seed: of the initial embeddings, the orders and the negatives.
        validate: returns a metric of vectors, higher is better; None trains all epochs.

    """
    torch.manual_seed(seed)
    users, items = pairs.shape
    graph = graph_of(pairs)
    table = torch.nn.Parameter(torch.randn(users + items, settings.width) * 0.1)
    optimizer = torch.optim.Adam([table], lr=settings.rate)
    pairs = pairs.tocoo()
    rows, columns = (torch.from_numpy(i.astype(np.int64)) for i in pairs.coords)
    best, kept, last = -math.inf, (0, table.detach().clone()), 0
    for epoch in range(1, settings.epochs + 1):
        _epoch(table, graph, (rows, columns, users), settings, optimizer)
        if validate is None or epoch % settings.every:
            continue
        vectors = _vectors(table, graph, settings, users)
        found = validate(*vectors)
        if found > best:
            best, kept, last = found, (epoch, table.detach().clone()), epoch
        if epoch - last >= settings.patience * settings.every:
            break
    epoch, weights = (settings.epochs, table) if validate is None else kept
    return *_vectors(weights, graph, settings, users), epoch


@torch.no_grad()
def _vectors(table: Tensor, graph: Tensor, settings: Settings, users: int):
    found = propagated(table, graph, settings.layers).numpy()
    return found[:users], found[users:]


def _epoch(table, graph, pairs, settings, optimizer) -> None:
    users = int(pairs[2])
    items = len(table) - users
    for at in torch.randperm(len(pairs[0])).split(settings.batch):
        user, positive = pairs[0][at], pairs[1][at] + users
        negative = torch.randint(0, items, (len(at),)) + users
        loss = bpr(table, graph, (user, positive, negative), settings)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bpr(table: Tensor, graph: Tensor, triples: tuple[Tensor, ...], settings: Settings) -> Tensor:
    """Return the mean over a batch of -ln σ(ŷ_ui - ŷ_uj) + λ‖E⁽⁰⁾‖² / 2."""
    vectors = propagated(table, graph, settings.layers)
    u, i, j = (vectors[t] for t in triples)
    first = sum(table[t].square().sum() for t in triples) / (2 * len(triples[0]))
    return torch.nn.functional.softplus(-(u * (i - j)).sum(1)).mean() + settings.l2 * first
