"""A stack of blocks against NumPy."""

import numpy as np
import torch
from torch import Tensor, nn

from crosstower.nn.sequences.stack import Stack
from crosstower.nn.sequences.steps import Steps


class Earlier(nn.Module):
    """Adds up all values that a value may read."""

    def forward(self, x: Tensor, steps: Steps) -> Tensor:
        return steps.allowed.to(x.dtype) @ x


def test_blocks_read_scaled_values_with_positions_and_are_normalised() -> None:
    torch.manual_seed(0)
    stack = Stack(4, 5, Earlier, blocks=2, dropout=0.5).eval()
    rows = torch.randn(2, 3, 4)
    present = torch.tensor([[True, True, False], [True, True, True]])
    found = stack(rows, Steps.of(present)).detach().numpy()
    x = rows.double().numpy() * 2.0 + stack.position.detach().double().numpy()[:3]
    for row, count in ((0, 2), (1, 3)):
        sums = np.cumsum(np.cumsum(x[row, :count], 0), 0)
        centred = sums - sums.mean(1, keepdims=True)
        expected = centred / np.sqrt(sums.var(1, keepdims=True) + stack.norm.eps)
        np.testing.assert_allclose(found[row, :count], expected, rtol=1e-4, atol=1e-5)


def test_each_block_has_weights_of_its_own() -> None:
    stack = Stack(4, 5, lambda: nn.Linear(4, 4), blocks=3, dropout=0.0)
    assert len({id(p) for p in stack.blocks.parameters()}) == 6
