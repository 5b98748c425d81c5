import numpy as np
import torch
from torch import nn

from crosstower.training.optimizers.adagrad import Adagrad


def test_it_follows_the_formula_over_touched_rows() -> None:
    random = np.random.default_rng(0)
    start = random.normal(size=(6, 4))
    parameter = nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = Adagrad([parameter], lr=0.1, eps=1e-6, weight_decay=0.01)
    weight, total, last = start.copy(), np.zeros((6, 4)), np.zeros(6)
    for step in range(1, 11):
        rows = random.choice(6, size=3, replace=False)
        gradient = random.normal(size=(3, 4))
        values = torch.tensor(gradient, dtype=torch.float32)
        parameter.grad = torch.sparse_coo_tensor(
            torch.tensor(rows[None]), values, (6, 4), check_invariants=True
        )
        optimizer.step()
        total[rows] += gradient**2
        decayed = (1 - 0.1 * 0.01) ** (step - last[rows, None])
        weight[rows] = weight[rows] * decayed - 0.1 * gradient / (np.sqrt(total[rows]) + 1e-6)
        last[rows] = step
    np.testing.assert_allclose(parameter.detach(), weight, rtol=1e-4, atol=1e-5)


def test_it_equals_the_dense_one_of_torch() -> None:
    """Rows without a gradient do not move in Adagrad, so dense and sparse updates agree."""
    torch.manual_seed(0)
    table = nn.Parameter(torch.randn(8, 3))
    dense = nn.Parameter(table.detach().clone())
    ours = Adagrad([table], lr=0.05, eps=1e-8)
    theirs = torch.optim.Adagrad([dense], lr=0.05, eps=1e-8)
    for step in range(20):
        codes = torch.randint(0, 8, (5,), generator=torch.Generator().manual_seed(step))
        nn.functional.embedding(codes, table, sparse=True).square().sum().backward()
        nn.functional.embedding(codes, dense).square().sum().backward()
        for optimizer in (ours, theirs):
            optimizer.step()
            optimizer.zero_grad()
    torch.testing.assert_close(table, dense, rtol=1e-6, atol=1e-7)
