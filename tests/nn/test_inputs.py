import torch

from crosstower.data.layout import CodeField, Head, Layout
from crosstower.nn.inputs import DenseInput, by_head

LAYOUT = Layout(
    (CodeField("a", 5, "a"),), ("x", "y"), (), (Head("p", "binary"), Head("q", "rating"))
)


def test_embeddings_come_before_numbers() -> None:
    layer = DenseInput(LAYOUT, dim=3)
    out = layer(torch.tensor([[4]]), torch.tensor([[1.5, -2.0]]), {})
    assert layer.output_width == out.shape[1] == 5
    torch.testing.assert_close(out[0, :3], layer.embed.tables["3"][4])
    assert out[0, 3:].tolist() == [1.5, -2.0]


def test_a_wide_input_ends_in_zeros_up_to_a_multiple_of_16() -> None:
    layer = DenseInput(LAYOUT, dim=80)
    out = layer(torch.tensor([[4], [2]]), torch.tensor([[1.5, -2.0], [0.5, 3.0]]), {})
    assert layer.output_width == out.shape[1] == 96
    assert out[:, 80:82].tolist() == [[1.5, -2.0], [0.5, 3.0]]
    assert not out[:, 82:].any()


def test_autocast_narrows_the_input_once() -> None:
    layer = DenseInput(LAYOUT, dim=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(torch.tensor([[4]]), torch.tensor([[1.5, -2.0]]), {})
    assert out.dtype == torch.bfloat16


def test_logits_are_named_by_head() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    named = by_head(LAYOUT, logits)
    assert {k: v.tolist() for k, v in named.items()} == {"p": [1.0, 3.0], "q": [2.0, 4.0]}


def test_numbers_go_through_their_own_layers() -> None:
    torch.manual_seed(0)
    layer = DenseInput(LAYOUT, dim=3, numbers_hidden=(4, 2))
    numbers = torch.randn(6, 2)
    out = layer(torch.full((6, 1), 4), numbers, {})
    assert layer.output_width == out.shape[1] == 5
    first, second = (m for m in layer.numbers.layers if isinstance(m, torch.nn.Linear))
    hidden = (numbers @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(out[:, 3:], (hidden @ second.weight.T + second.bias).clamp(min=0))
