"""LightGCN's layers compared with their formula in dense float64."""

import numpy as np
import pytest
import torch

from crosstower.errors import RecipeError, TrainingError
from crosstower.nn.propagated_rows import PropagatedRows

RANDOM = np.random.default_rng(0)
ROWS, NODES = 9, 12  # the last three have no vector of their own
EDGES = np.stack([RANDOM.integers(0, 4, 30), RANDOM.integers(5, NODES, 30)])  # some repeat
IDS = torch.tensor([0, 2, 7])


def mixing(layers: int) -> np.ndarray:
    """Oracle: (I + Â + Â² + …) / (K + 1) with Â = D^-½ A D^-½ (He et al. 2020, section 3)."""
    graph = np.zeros((NODES, NODES))
    graph[EDGES[0], EDGES[1]] = graph[EDGES[1], EDGES[0]] = 1.0
    degree = graph.sum(1)
    root = np.where(degree > 0, 1.0 / np.sqrt(np.where(degree > 0, degree, 1.0)), 0.0)
    scaled = root[:, None] * graph * root
    powers = [np.linalg.matrix_power(scaled, k) for k in range(layers + 1)]
    return (sum(powers) / (layers + 1))[:ROWS, :ROWS]


def made(layers: int = 3) -> tuple[torch.nn.Parameter, PropagatedRows]:
    torch.manual_seed(0)
    table = torch.nn.Parameter(torch.randn(ROWS, 4))
    rows = PropagatedRows(table, layers)
    rows.connect(torch.from_numpy(EDGES), nodes=NODES)
    return table, rows


def expected(table: torch.nn.Parameter, layers: int = 3) -> torch.Tensor:
    return torch.from_numpy(mixing(layers) @ table.detach().double().numpy()).float()


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_rows_are_the_mean_of_all_layers(layers: int, training: bool) -> None:
    table, rows = made(layers)
    found = rows.train(training).look_up(torch.arange(ROWS))
    torch.testing.assert_close(found.detach(), expected(table, layers))


def test_gradients_are_those_of_the_dense_formula() -> None:
    table, rows = made()
    bags = torch.tensor([[0, 6], [8, 5]])
    loss = rows.look_up(IDS).square().sum()
    loss = loss + rows.bag(bags, None, mode="mean").pow(3).sum()
    loss.backward()
    dense = table.detach().double().requires_grad_()
    layers = torch.from_numpy(mixing(3)) @ dense
    (layers[IDS].square().sum() + layers[bags].mean(1).pow(3).sum()).backward()
    assert table.grad is not None
    assert table.grad.is_sparse  # as the optimisers of tables take it
    torch.testing.assert_close(table.grad.to_dense().double(), dense.grad, rtol=1e-5, atol=1e-6)


def test_training_reads_the_table_of_each_step() -> None:
    table, rows = made()
    before = rows.look_up(IDS)
    before.sum().backward()
    with torch.no_grad():
        table.mul_(2.0)
    torch.testing.assert_close(rows.look_up(IDS), 2.0 * before)
    with torch.no_grad():
        table.mul_(2.0)  # without a backward pass in between
    torch.testing.assert_close(rows.look_up(IDS), 4.0 * before)


def test_stored_rows_are_those_of_the_current_table_and_need_no_graph() -> None:
    table, rows = made()
    rows.eval()
    with torch.no_grad():
        table.mul_(-1.0)
    stored = rows.state_dict()
    assert list(stored) == ["vectors"]
    other = PropagatedRows(torch.nn.Parameter(torch.zeros(ROWS, 4)), 3).eval()
    other.load_state_dict(stored)
    torch.testing.assert_close(other.look_up(IDS), expected(table)[IDS])


def test_autocast_changes_nothing() -> None:
    table, rows = made()
    with torch.autocast("cpu", torch.bfloat16):
        found = rows.look_up(IDS)
    torch.testing.assert_close(found.detach(), expected(table)[IDS])


def test_training_without_a_graph_and_frozen_rows_are_refused() -> None:
    rows = PropagatedRows(torch.nn.Parameter(torch.zeros(3, 2)), 1)
    with pytest.raises(TrainingError, match="has no graph to be trained on"):
        rows.look_up(torch.tensor([0]))
    rows.freeze([])
    with pytest.raises(RecipeError, match="none stay as they are"):
        rows.freeze([range(1)])
