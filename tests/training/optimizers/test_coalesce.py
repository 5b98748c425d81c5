import numpy as np
import torch
from torch import nn

from crosstower.training.optimizers.coalesce import coalesce, replace_gradient


def uncoalesced() -> torch.Tensor:
    rows = torch.tensor([[5, 1, 5, 0, 1, 5]])
    return torch.sparse_coo_tensor(rows, torch.randn(6, 3), (8, 3), check_invariants=True)


def test_duplicates_are_summed_like_numpy() -> None:
    gradient = uncoalesced()
    expected = np.zeros((8, 3), dtype=np.float32)
    np.add.at(expected, gradient._indices()[0].numpy(), gradient._values().numpy())
    rows, values = coalesce(gradient)
    assert rows.tolist() == [0, 1, 5]
    np.testing.assert_allclose(values, expected[[0, 1, 5]], rtol=1e-6)


def test_a_coalesced_gradient_is_taken_as_it_is() -> None:
    gradient = uncoalesced().coalesce()
    rows, values = coalesce(gradient)
    assert torch.equal(rows, gradient.indices()[0])
    assert values.data_ptr() == gradient.values().data_ptr()


def test_a_parameter_gets_its_coalesced_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(8, 3))
    parameter.grad = uncoalesced()
    before = parameter.grad.to_dense()
    replace_gradient(parameter)
    assert parameter.grad.is_coalesced()
    torch.testing.assert_close(parameter.grad.to_dense(), before)
