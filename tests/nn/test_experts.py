"""Experts and gates against the papers' formulas in NumPy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from crosstower.nn.experts import ExtractionLayer, MultiGateMixture, ProgressiveExtraction
from crosstower.nn.mlp import MLP

Array = NDArray[np.float64]
X = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make(width: int) -> MLP:
    return MLP(width, (6, 4)).double()


def dense(expert: torch.nn.Module, x: Array) -> Array:
    """Linear and ReLU, twice."""
    for name in ("0", "3"):
        layer = expert.layers[int(name)]
        x = np.maximum(x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), 0.0)
    return x


def weight_of(gate: torch.nn.Module) -> Array:
    return gate.linear.weight.detach().numpy()


def gated(gate: torch.nn.Module, x: Array, experts: list[Array]) -> Array:
    weights = softmax(x @ weight_of(gate).T, axis=1)
    assert weights.shape[1] == len(experts)
    return sum(weights[:, [i]] * expert for i, expert in enumerate(experts))


def test_mmoe_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    mixture = MultiGateMixture(5, make, experts=3, tasks=2).double().eval()
    x = X.numpy()
    experts = [dense(e, x) for e in mixture.experts]
    for output, gate in zip(mixture(X), mixture.gates, strict=True):
        np.testing.assert_allclose(output.detach(), gated(gate, x, experts), rtol=1e-12)


@pytest.mark.parametrize(("specific", "shared"), [(1, 1), (2, 1), (1, 3), (3, 2)])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_ple_is_that_of_the_paper(specific: int, shared: int, levels: int) -> None:
    torch.manual_seed(0)
    tasks = 3
    model = (
        ProgressiveExtraction(5, make, tasks=tasks, specific=specific, shared=shared, levels=levels)
        .double()
        .eval()
    )
    inputs, common = [X.numpy()] * tasks, X.numpy()
    for level, layer in enumerate(model.layers):
        of_all = [dense(e, common) for e in layer.shared]
        own = [[dense(e, x) for e in es] for x, es in zip(inputs, layer.specific, strict=True)]
        outputs = [
            gated(gate, x, [*mine, *of_all])
            for gate, x, mine in zip(layer.gates, inputs, own, strict=True)
        ]
        if level < levels - 1:
            everything = [output for mine in own for output in mine] + of_all
            common = gated(layer.shared_gate, common, everything)
        else:
            assert layer.shared_gate is None
            gates = [
                softmax(x @ weight_of(g).T, axis=1)
                for x, g in zip(inputs, layer.gates, strict=True)
            ]
        inputs = outputs
    for output, expected in zip(model(X), inputs, strict=True):
        np.testing.assert_allclose(output.detach(), expected, rtol=1e-12)
    for weights, expected in zip(model.weights(X), gates, strict=True):
        np.testing.assert_allclose(weights.detach(), expected, rtol=1e-12)


def test_a_task_does_not_reach_the_experts_of_another() -> None:
    layer = ExtractionLayer(5, make, tasks=2, specific=2, shared=1, last=True).double()
    outputs, _ = layer([X, X], X)
    outputs[0].sum().backward()
    assert all(p.grad is not None for p in layer.specific[0].parameters())
    assert all(p.grad is None for p in layer.specific[1].parameters())
    assert all(p.grad is not None for p in layer.shared.parameters())
