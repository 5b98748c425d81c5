import numpy as np
import torch

from crosstower.nn.mask_block import FieldNorm, MaskBlock

EPSILON = 1e-5


def normalised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)


def double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def randomise(module: torch.nn.Module) -> None:
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)


def test_each_field_is_normalised_alone_with_its_own_scale() -> None:
    torch.manual_seed(0)
    norm, fields = FieldNorm(3, 8), torch.randn(5, 3, 8)
    randomise(norm)
    expected = normalised(double(fields)).reshape(5, 24) * double(norm.scale) + double(norm.shift)
    np.testing.assert_allclose(double(norm(fields)), expected, rtol=1e-4, atol=1e-5)


def test_the_block_is_that_of_section_3() -> None:
    torch.manual_seed(0)
    block = MaskBlock(12, 8, output_width=4, reduction_ratio=1.5)
    randomise(block)
    x, v = torch.randn(5, 8), torch.randn(5, 12)
    first, second = block.mask[0], block.mask[2]
    assert first.weight.shape == (12, 12)  # 1.5 times 8
    hidden = np.maximum(double(v) @ double(first.weight).T + double(first.bias), 0)
    mask = hidden @ double(second.weight).T + double(second.bias)
    out = normalised((mask * double(x)) @ double(block.hidden.weight).T)
    expected = np.maximum(out * double(block.norm.weight) + double(block.norm.bias), 0)
    np.testing.assert_allclose(double(block(x, v)), expected, rtol=1e-4, atol=1e-4)


def test_a_mask_has_at_least_one_hidden_unit() -> None:
    block = MaskBlock(12, 3, output_width=4, reduction_ratio=0.1)
    assert block.mask[0].weight.shape == (1, 12)


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    block = MaskBlock(12, 8, output_width=64, reduction_ratio=1.0, dropout=0.9)
    x, v = torch.randn(5, 8), torch.randn(5, 12)
    assert (block(x, v) == 0).float().mean() > 0.8
    assert torch.equal(block.eval()(x, v), block(x, v))
