import numpy as np
import pytest
import torch

from crosstower.nn.wukong_layer import WukongLayer

EPSILON = 1e-5
FIELDS = torch.randn(7, 5, 4, generator=torch.Generator().manual_seed(0))


def double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def normalised(x: np.ndarray, norm: torch.nn.LayerNorm) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)
    return scaled * double(norm.weight) + double(norm.bias)


@pytest.mark.parametrize(("machine", "linear"), [(2, 3), (4, 4), (1, 1)])
def test_the_layer_is_that_of_section_3(machine: int, linear: int) -> None:
    torch.manual_seed(0)
    layer = WukongLayer(
        5, 4, machine_fields=machine, linear_fields=linear, rank=3, hidden=(6,)
    ).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = double(FIELDS)
    products = np.stack([row @ row.T @ double(layer.compress) for row in x])  # [7, 5, 3]
    hidden = normalised(products.reshape(7, 15), layer.machine_norm)
    first = layer.mlp.layers[0]
    hidden = np.maximum(hidden @ double(first.weight).T + double(first.bias), 0)
    machines = hidden @ double(layer.machine.weight).T + double(layer.machine.bias)
    compressed = np.stack([double(layer.linear.weight) @ row for row in x])
    both = np.concatenate([machines.reshape(7, machine, 4), compressed], axis=1)
    same = machine + linear == 5
    residual = x if same else np.stack([double(layer.residual.weight) @ row for row in x])
    expected = normalised(both + residual, layer.norm)
    np.testing.assert_allclose(double(layer(FIELDS)), expected, rtol=1e-4, atol=1e-4)
    assert isinstance(layer.residual, torch.nn.Identity) == same
