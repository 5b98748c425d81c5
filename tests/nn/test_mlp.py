import pytest
import torch

from crosstower.nn.mlp import MLP


def test_it_is_linear_then_relu_for_each_width() -> None:
    torch.manual_seed(0)
    mlp = MLP(3, [5, 2])
    x = torch.randn(4, 3)
    w1, b1, w2, b2 = mlp.parameters()
    expected = torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2)
    torch.testing.assert_close(mlp(x), expected)
    assert mlp.output_width == 2


def test_weights_keep_the_variance_through_relu() -> None:
    torch.manual_seed(0)
    first = next(MLP(500, [400]).parameters())
    assert first.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    mlp, x = MLP(10, [200], dropout=0.5), torch.randn(1, 10)
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    torch.testing.assert_close(mlp(x), mlp(x))
