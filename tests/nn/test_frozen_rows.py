"""Frozen rows of a table, against a dense gradient and an optimiser that steps."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from crosstower.nn.frozen_rows import freeze_rows
from crosstower.training.optimizers.lazy_adam import LazyAdam
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad

FROZEN = [range(3), range(7, 9)]
FREE = [3, 4, 5, 6, 9]


def table() -> nn.Parameter:
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(10, 4))


def loss(weights: torch.Tensor, *, sparse: bool) -> torch.Tensor:
    """Rows looked up twice, one of them also in a bag, as both towers do."""
    rows = torch.tensor([0, 3, 3, 8, 9, 6])
    single = F.embedding(rows, weights, sparse=sparse)
    bags = F.embedding_bag(rows.view(2, 3), weights, mode="mean", sparse=sparse)
    return (single**2).sum() + (bags**3).sum()


def test_other_rows_get_the_gradient_of_a_dense_table() -> None:
    frozen, dense = table(), table()
    freeze_rows(frozen, FROZEN)
    loss(frozen, sparse=True).backward()
    loss(dense, sparse=False).backward()
    assert frozen.grad is not None
    assert dense.grad is not None
    assert set(frozen.grad._indices()[0].tolist()) == {3, 6, 9}
    wanted = dense.grad.clone()
    wanted[[0, 1, 2, 7, 8]] = 0.0
    torch.testing.assert_close(frozen.grad.to_dense(), wanted)


@pytest.mark.parametrize("optimizer", [LazyAdam, RowwiseAdagrad])
def test_weights_and_states_of_frozen_rows_stay(
    optimizer: type[LazyAdam | RowwiseAdagrad],
) -> None:
    weights = table()
    rule = optimizer([weights], weight_decay=0.1)
    steps(rule, weights)
    states = {k: v.clone() for k, v in rule.state[weights].items() if v.ndim}
    before = weights.detach().clone()
    freeze_rows(weights, FROZEN)
    steps(rule, weights)
    for name, now in [("weights", weights.detach()), *rule.state[weights].items()]:
        if now.ndim:
            was = before if name == "weights" else states[name]
            for part in FROZEN:
                assert torch.equal(now[part.start : part.stop], was[part.start : part.stop]), name
            assert not torch.equal(now[FREE], was[FREE]), name


def steps(rule: torch.optim.Optimizer, weights: nn.Parameter) -> None:
    for _ in range(3):
        rule.zero_grad()
        loss(weights, sparse=True).backward()
        rule.step()


def test_a_table_of_frozen_rows_only_gets_no_gradient() -> None:
    weights = table()
    freeze_rows(weights, [range(6), range(6, 10)])
    assert not weights.requires_grad
