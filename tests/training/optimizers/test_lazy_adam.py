import copy

import numpy as np
import torch
from torch import nn

from crosstower.training.optimizers.lazy_adam import LazyAdam


def sparse(rows: list[int], values: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, shape, check_invariants=True)


def test_with_every_row_touched_it_is_adamw() -> None:
    torch.manual_seed(0)
    start = torch.randn(5, 3)
    lazy, dense = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    options = {"lr": 0.01, "weight_decay": 0.1}
    one, other = LazyAdam([lazy], **options), torch.optim.AdamW([dense], **options)
    for _ in range(30):
        gradient = torch.randn(5, 3)
        lazy.grad, dense.grad = sparse(list(range(5)), gradient, (5, 3)), gradient
        one.step()
        other.step()
    torch.testing.assert_close(lazy, dense, rtol=1e-5, atol=1e-6)


def test_a_row_that_missed_steps_is_corrected_as_documented() -> None:
    lr, beta1, beta2, eps = 0.01, 0.9, 0.999, 1e-8
    parameter = nn.Parameter(torch.ones(2, 1))
    optimizer = LazyAdam([parameter], lr=lr)
    gradients = {1: 0.5, 2: None, 3: None, 4: -0.25, 5: 1.0}
    w, m, v = 1.0, 0.0, 0.0
    for step, gradient in gradients.items():
        rows = [0] if gradient is None else [0, 1]
        values = torch.tensor([[0.1]] if gradient is None else [[0.1], [gradient]])
        parameter.grad = sparse(rows, values, (2, 1))
        before = parameter[1].item()
        optimizer.step()
        # Dense moments with zero gradients in between; the weight moves when touched only.
        m = beta1 * m + (1 - beta1) * (gradient or 0.0)
        v = beta2 * v + (1 - beta2) * (gradient or 0.0) ** 2
        if gradient is None:
            assert parameter[1].item() == before
        else:
            w -= lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)
            np.testing.assert_allclose(parameter[1].item(), w, rtol=1e-5)


def test_weight_decay_makes_up_for_missed_steps() -> None:
    parameter = nn.Parameter(torch.ones(2, 1))
    optimizer = LazyAdam([parameter], lr=0.1, weight_decay=0.5)
    for rows in ([0], [0], [0, 1]):
        parameter.grad = sparse(rows, torch.zeros(len(rows), 1), (2, 1))
        optimizer.step()
    np.testing.assert_allclose(parameter.detach()[:, 0], [0.95**3, 0.95**3], rtol=1e-6)


def test_duplicate_rows_are_summed() -> None:
    one, other = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    one.grad = sparse([1, 1], torch.tensor([[1.0, 2.0], [3.0, -1.0]]), (3, 2))
    other.grad = sparse([1], torch.tensor([[4.0, 1.0]]), (3, 2))
    LazyAdam([one]).step()
    LazyAdam([other]).step()
    assert torch.equal(one, other)
    assert torch.equal(one[[0, 2]], torch.ones(2, 2))


def test_state_survives_a_round_trip() -> None:
    torch.manual_seed(0)
    one = nn.Parameter(torch.randn(4, 2))
    first = LazyAdam([one])
    gradients = [torch.randn(2, 2) for _ in range(4)]
    for gradient in gradients[:2]:
        one.grad = sparse([0, 2], gradient, (4, 2))
        first.step()
    other = nn.Parameter(one.detach().clone())
    second = LazyAdam([other])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for gradient in gradients[2:]:
        for parameter, optimizer in ((one, first), (other, second)):
            parameter.grad = sparse([1, 2], gradient, (4, 2))
            optimizer.step()
    assert torch.equal(one, other)
