import numpy as np
import torch
from torch import nn

from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad


def test_it_follows_the_formula_over_touched_rows() -> None:
    random = np.random.default_rng(0)
    start = random.normal(size=(6, 4))
    parameter = nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = RowwiseAdagrad([parameter], lr=0.1, eps=1e-6, weight_decay=0.01)
    weight, total, last = start.copy(), np.zeros(6), np.zeros(6)
    for step in range(1, 11):
        rows = random.choice(6, size=3, replace=False)
        gradient = random.normal(size=(3, 4))
        values = torch.tensor(gradient, dtype=torch.float32)
        parameter.grad = torch.sparse_coo_tensor(
            torch.tensor(rows[None]), values, (6, 4), check_invariants=True
        )
        optimizer.step()
        total[rows] += (gradient**2).mean(1)
        rate = 0.1 / (np.sqrt(total[rows]) + 1e-6)
        decayed = (1 - 0.1 * 0.01) ** (step - last[rows, None])
        weight[rows] = weight[rows] * decayed - rate[:, None] * gradient
        last[rows] = step
    np.testing.assert_allclose(parameter.detach(), weight, rtol=1e-4, atol=1e-5)
    assert optimizer.state[parameter]["sum"].shape == (6,)
