import numpy as np
import pytest
import torch

from crosstower.nn.field_attention import FieldAttention

FIELDS = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("width", "heads"), [(6, 1), (6, 2), (8, 4)])
def test_the_layer_is_that_of_section_4(width: int, heads: int) -> None:
    torch.manual_seed(0)
    layer = FieldAttention(8, width=width, heads=heads)
    weights = layer.project.weight.detach().double().numpy().reshape(4, width, 8)
    e, size = FIELDS.double().numpy(), width // heads
    attended = np.zeros((3, 5, width))
    for head in range(heads):
        rows = slice(head * size, (head + 1) * size)
        query, key, value = (e @ w[rows].T for w in weights[:3])
        scores = np.exp(np.einsum("bmd,bkd->bmk", query, key))  # without a scale
        attended[..., rows] = scores / scores.sum(2, keepdims=True) @ value
    expected = np.maximum(attended + e @ weights[3].T, 0)
    np.testing.assert_allclose(layer(FIELDS).detach(), expected, rtol=1e-4, atol=1e-5)


def test_the_order_of_fields_is_that_of_the_output() -> None:
    layer, order = FieldAttention(8, width=6, heads=2), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(layer(FIELDS[:, order]), layer(FIELDS)[:, order])
