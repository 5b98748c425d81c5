import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from crosstower.training.optimizers.lazy_adam import LazyAdam
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad
from crosstower.training.optimizers.table_optimizer import TableOptimizer

BEYOND = 2**24  # where float32 has no odd numbers any more


def touch(optimizer: TableOptimizer, parameter: nn.Parameter, rows: list[int]) -> None:
    values = torch.zeros(len(rows), parameter.shape[1])
    parameter.grad = torch.sparse_coo_tensor(
        torch.tensor([rows]), values, parameter.shape, check_invariants=True
    )
    optimizer.step()


def at_step(optimizer: TableOptimizer, parameter: nn.Parameter, step: int) -> dict[str, Tensor]:
    """Let the optimiser be where `step` steps would have brought it."""
    touch(optimizer, parameter, list(range(len(parameter))))
    state = optimizer.state[parameter]
    state["step"].fill_(step)
    state["last"].fill_(step)
    return state


@pytest.mark.parametrize("kind", [LazyAdam, RowwiseAdagrad])
def test_steps_are_counted_beyond_float32(kind: type[TableOptimizer]) -> None:
    parameter = nn.Parameter(torch.ones(3, 2))
    optimizer = kind([parameter], weight_decay=0.1)  # type: ignore[call-arg]
    state = at_step(optimizer, parameter, BEYOND - 1)
    for rows in ([0], [0, 1], [0]):
        touch(optimizer, parameter, rows)
    assert int(state["step"]) == BEYOND + 2
    assert state["last"].tolist() == [BEYOND + 2, BEYOND + 1, BEYOND - 1]


@pytest.mark.parametrize("kind", [LazyAdam, RowwiseAdagrad])
def test_counters_survive_a_round_trip(kind: type[TableOptimizer]) -> None:
    one, other = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    first = kind([one], weight_decay=0.1)  # type: ignore[call-arg]
    at_step(first, one, BEYOND + 1)
    second = kind([other], weight_decay=0.1)  # type: ignore[call-arg]
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert int(second.state[other]["step"]) == BEYOND + 1
    assert second.state[other]["last"].tolist() == [BEYOND + 1] * 3


@pytest.mark.parametrize("kind", [LazyAdam, RowwiseAdagrad])
def test_moments_decay_beyond_float32_steps(kind: type[TableOptimizer]) -> None:
    """Rows that are touched at every step decay by one step's share, as at the start."""
    parameter = nn.Parameter(torch.ones(1, 2))
    optimizer = kind([parameter], lr=0.1, weight_decay=0.5)  # type: ignore[call-arg]
    at_step(optimizer, parameter, BEYOND)
    before = parameter.detach().clone()
    for _ in range(3):
        touch(optimizer, parameter, [0])
    np.testing.assert_allclose(parameter.detach(), before * 0.95**3, rtol=1e-6)


@pytest.mark.parametrize("kind", [LazyAdam, RowwiseAdagrad])
def test_weight_decay_makes_up_for_missed_steps(kind: type[TableOptimizer]) -> None:
    parameter = nn.Parameter(torch.ones(3, 1))
    optimizer = kind([parameter], lr=0.1, weight_decay=0.5)  # type: ignore[call-arg]
    for rows in ([0], [0, 2], [0], [0, 1, 2]):
        touch(optimizer, parameter, rows)
    np.testing.assert_allclose(parameter.detach()[:, 0], [0.95**4] * 3, rtol=1e-6)
