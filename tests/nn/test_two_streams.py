import numpy as np
import pytest
import torch

from crosstower.nn.two_streams import BilinearFusion, StreamGate

FIELDS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))


def double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


@pytest.mark.parametrize("context", [(), (1,), (2, 0)])
def test_a_gate_is_twice_a_sigmoid_of_its_context(context: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    gate = StreamGate(fields=3, dim=4, context=context, hidden=(6,))
    if context:
        assert gate.learned is None
        c = np.concatenate([double(FIELDS)[:, i] for i in context], axis=1)
    else:
        assert gate.learned is not None
        c = double(gate.learned)
    first = gate.hidden.layers[0]
    hidden = np.maximum(c @ double(first.weight).T + double(first.bias), 0)
    logits = hidden @ double(gate.gate.weight).T + double(gate.gate.bias)
    expected = 2 / (1 + np.exp(-logits)) * double(FIELDS).reshape(5, 12)
    np.testing.assert_allclose(double(gate(FIELDS)), expected, rtol=1e-4, atol=1e-5)


def test_a_gate_may_be_linear() -> None:
    gate = StreamGate(fields=3, dim=4, context=(0,), hidden=())
    assert gate.gate.weight.shape == (12, 4)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_the_fusion_is_linear_and_bilinear(heads: int) -> None:
    torch.manual_seed(0)
    fusion = BilinearFusion(8, 4, outputs=3, heads=heads)
    x, y = torch.randn(5, 8), torch.randn(5, 4)
    linear = np.concatenate([double(x), double(y)], axis=1) @ double(fusion.linear.weight).T
    expected = linear + double(fusion.linear.bias)
    weights = double(fusion.bilinear)
    for t in range(3):
        for k in range(heads):
            part_x = double(x)[:, k * 8 // heads : (k + 1) * 8 // heads]
            part_y = double(y)[:, k * 4 // heads : (k + 1) * 4 // heads]
            expected[:, t] += ((part_x @ weights[t, k]) * part_y).sum(1)
    np.testing.assert_allclose(double(fusion(x, y)), expected, rtol=1e-4, atol=1e-5)
