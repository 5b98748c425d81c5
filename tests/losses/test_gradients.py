import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from crosstower.losses.gradients import TaskGradients, project_conflicts


def parameters_of(*arrays: NDArray[np.float64]) -> list[nn.Parameter]:
    return [nn.Parameter(torch.from_numpy(a)) for a in arrays]


def surgery(grads: NDArray[np.float64], orders: list[list[int]]) -> NDArray[np.float64]:
    """Algorithm 1 of Yu et al. 2020 on plain vectors."""
    found = grads.copy()
    for i, others in enumerate(orders):
        for j in others:
            against = found[i] @ grads[j]
            if against < 0:
                found[i] -= against / (grads[j] @ grads[j]) * grads[j]
    return found


@pytest.mark.parametrize("seed", range(5))
def test_pcgrad_is_algorithm_1(seed: int) -> None:
    random = np.random.default_rng(seed)
    directions = random.normal(size=(3, 6))
    directions[1] -= directions[0]  # they disagree
    theta = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    losses = [(theta * torch.from_numpy(d)).sum() for d in directions]
    orders = [[2, 1], [0, 2], [1, 0]]
    gradients = TaskGradients.of(losses, [theta])
    project_conflicts(gradients, orders)
    expected = surgery(directions, orders)
    np.testing.assert_allclose(torch.stack([g[0] for g in gradients.values]), expected)
    assert (expected != directions).any()
    gradients.write([1.0, 1.0, 1.0])
    np.testing.assert_allclose(theta.grad, expected.sum(0))


def test_parameters_of_one_task_alone_take_no_part() -> None:
    """The tower of a task is neither projected nor part of the projection."""
    shared, own = parameters_of(np.zeros(2), np.zeros(3))
    one = (shared * torch.tensor([1.0, 0.0])).sum()
    other = (shared * torch.tensor([-1.0, 1.0])).sum() + (own * 100.0).sum()
    gradients = TaskGradients.of([one, other], [shared, own])
    project_conflicts(gradients, [[1], [0]])
    gradients.write([1.0, 1.0])
    np.testing.assert_allclose(shared.grad, [0.5 + 0.0, 0.5 + 1.0])
    np.testing.assert_allclose(own.grad, [100.0] * 3)


def test_columns_of_one_tensor_that_belong_to_different_tasks_are_not_shared() -> None:
    (head,) = parameters_of(np.ones((2, 2)))
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    out = x @ head
    gradients = TaskGradients.of([out[0, 0], -out[0, 1]], [head])
    assert gradients.shared(0, 1) == []
    project_conflicts(gradients, [[1], [0]])
    gradients.write([1.0, 1.0])
    np.testing.assert_allclose(head.grad, [[1.0, -1.0], [2.0, -2.0]])


def test_sparse_gradients_give_what_dense_ones_give() -> None:
    codes = torch.tensor([1, 4, 1, 0])
    found = []
    for sparse in (False, True):
        torch.manual_seed(0)
        table, dense = nn.Parameter(torch.randn(6, 3)), nn.Parameter(torch.randn(3))
        rows = F.embedding(codes, table, sparse=sparse)
        tasks = [(rows @ dense).sum(), -(rows**2).sum(), (rows[:2] * dense).sin().sum()]
        gradients = TaskGradients.of(tasks, [table, dense])
        orders = [[j for j in range(3) if j != i] for i in range(3)]
        project_conflicts(gradients, orders)
        gradients.write([1.0, 0.5, 2.0])
        assert table.grad is not None
        assert table.grad.is_sparse is sparse
        found.append((table.grad.to_dense(), dense.grad))
    torch.testing.assert_close(found[0], found[1])


def test_tasks_that_touch_different_rows_are_lined_up() -> None:
    table = nn.Parameter(torch.ones(5, 2))
    losses = [
        F.embedding(torch.tensor(codes), table, sparse=True).sum() * weight
        for codes, weight in (([0, 1], 1.0), ([1, 3], 10.0))
    ]
    TaskGradients.of(losses, [table]).write([1.0, 1.0])
    assert table.grad is not None
    assert table.grad.to_dense()[:, 0].tolist() == [1.0, 11.0, 0.0, 10.0, 0.0]


def test_a_task_without_labels_has_no_gradient() -> None:
    (theta,) = parameters_of(np.ones(2))
    gradients = TaskGradients.of([theta.sum(), torch.tensor(0.0)], [theta])
    project_conflicts(gradients, [[1], [0]])
    gradients.write([1.0, 1.0])
    assert theta.grad is not None
    assert theta.grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("power", [-40, -25, -12, 0, 15, 30])
def test_projections_do_not_depend_on_the_size_of_gradients(power: int) -> None:
    """Oracle: algorithm 1 in float64; squares of such numbers are 0 or infinite in float32."""
    scale = 10.0**power
    a, b = np.array([1.0, 2.0, -1.0]), np.array([-1.0, 1.0, 3.0])
    theta = nn.Parameter(torch.zeros(3))
    tasks = [theta @ torch.tensor(a * scale).float(), theta @ torch.tensor(b * scale).float()]
    gradients = TaskGradients.of(tasks, [theta])
    project_conflicts(gradients, [[1], [0]])
    expected = a - (a @ b) / (b @ b) * b + b - (a @ b) / (a @ a) * a
    gradients.write([1.0, 1.0])
    assert theta.grad is not None
    rtol = 1e-5 if power > -38 else 1e-3  # denormal numbers have fewer digits
    np.testing.assert_allclose(theta.grad.double() / scale, expected, rtol=rtol)


def test_a_small_and_a_large_gradient_are_projected() -> None:
    theta = nn.Parameter(torch.zeros(2))
    small, large = np.array([-1e-30, 2e-30]), np.array([1e20, 0.0])
    tasks = [theta @ torch.tensor(g).float() for g in (small, large)]
    gradients = TaskGradients.of(tasks, [theta])
    project_conflicts(gradients, [[1], [0]])
    expected = large - (large @ small) / (small @ small) * small
    np.testing.assert_allclose(gradients.values[0][0], [0.0, 2e-30], rtol=1e-6, atol=1e-40)
    np.testing.assert_allclose(gradients.values[1][0], expected, rtol=1e-5)
