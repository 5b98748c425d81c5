import numpy as np
import pytest
import torch

from crosstower.nn.cross import (
    CrossFull,
    CrossGated,
    CrossLowRank,
    CrossMixture,
    CrossNetwork,
)

B, W = 7, 8


def doubles(layer: torch.nn.Module) -> dict[str, np.ndarray]:
    return {n: p.detach().double().numpy() for n, p in layer.named_parameters()}


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(B, W), torch.randn(B, W)


def randomise(layer: torch.nn.Module) -> None:
    """Biases that start at zero would hide a bias at the wrong place."""
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)


def test_full_cross_is_equation_1(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    layer = CrossFull(W)
    randomise(layer)
    x0, x = (t.double().numpy() for t in inputs)
    p = doubles(layer)
    expected = x0 * (x @ p["linear.weight"].T + p["linear.bias"]) + x
    np.testing.assert_allclose(layer(*inputs).detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("rank", "used"), [(None, W // 4), (3, 3)])
def test_low_rank_cross_is_equation_2(
    inputs: tuple[torch.Tensor, torch.Tensor], rank: int | None, used: int
) -> None:
    layer = CrossLowRank(W, rank=rank)
    randomise(layer)
    x0, x = (t.double().numpy() for t in inputs)
    p = doubles(layer)
    assert p["down.weight"].shape == (used, W)
    expected = x0 * (p["up.weight"] @ (p["down.weight"] @ x.T) + p["up.bias"][:, None]).T + x
    np.testing.assert_allclose(layer(*inputs).detach(), expected, rtol=1e-4, atol=1e-4)


def test_mixture_is_equation_3(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    layer = CrossMixture(W, experts=3, rank=2)
    randomise(layer)
    x0, x = (t.double().numpy() for t in inputs)
    p = doubles(layer)
    scores = x @ p["gate.weight"].T + p["gate.bias"]
    gates = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = x.copy()
    for i in range(3):
        low = np.tanh(np.tanh(x @ p["down"][i]) @ p["core"][i])
        expected += gates[:, [i]] * x0 * (low @ p["up"][i] + p["bias"])
    np.testing.assert_allclose(layer(*inputs).detach(), expected, rtol=1e-4, atol=1e-4)


def test_gated_cross_is_that_of_gdcn(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    layer = CrossGated(W)
    randomise(layer)
    x0, x = (t.double().numpy() for t in inputs)
    p = doubles(layer)
    gate = 1 / (1 + np.exp(-x @ p["gate.weight"].T))
    expected = x0 * (x @ p["linear.weight"].T + p["linear.bias"]) * gate + x
    np.testing.assert_allclose(layer(*inputs).detach(), expected, rtol=1e-4, atol=1e-5)


def test_a_mixture_of_one_expert_needs_no_gate(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    layer = CrossMixture(W, experts=1)
    before = layer(*inputs)
    torch.nn.init.normal_(layer.gate.weight)
    torch.testing.assert_close(layer(*inputs), before)


def test_the_network_keeps_x0_and_raises_the_degree() -> None:
    layers = [CrossFull(W) for _ in range(3)]
    for layer in layers:
        randomise(layer)
    x0 = torch.randn(B, W)
    x = x0
    for layer in layers:
        x = layer(x0, x)
    torch.testing.assert_close(CrossNetwork([*layers])(x0), x)


def test_without_biases_each_layer_raises_the_degree_by_one() -> None:
    layers = [CrossFull(1) for _ in range(2)]
    for layer in layers:
        torch.nn.init.ones_(layer.linear.weight)
        torch.nn.init.zeros_(layer.linear.bias)
    x0 = torch.tensor([[2.0], [3.0]])
    # x1 = x0² + x0; x2 = x0·x1 + x1 = (x0² + x0)(x0 + 1)
    expected = (x0**2 + x0) * (x0 + 1)
    torch.testing.assert_close(CrossNetwork([*layers])(x0), expected)
