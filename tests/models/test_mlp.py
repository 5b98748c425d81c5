import torch

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.mlp import PlainMLP
from crosstower.models.registry import build

LAYOUT = Layout(
    (CodeField("c", 6, "c"), CodeField("wide only", 50, "wide only", dim=0)),
    ("x",),
    (),
    (Head("click", "binary"), Head("seconds", "regression")),
)


def test_logits_are_the_head_over_relu_layers_of_embeddings_and_numbers() -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": "mlp", "embedding_dim": 3, "hidden": [5], "dropout": 0.0})
    assert isinstance(model, PlainMLP)
    batch = Batch(torch.tensor([[4, 9]]).int(), torch.tensor([[0.5]]), {}, torch.zeros(1, 2))
    logits = model(batch)
    (table,) = model.input.parameters()
    linear = model.mlp.layers[0]
    x = torch.cat([table[4], torch.tensor([0.5])])
    hidden = torch.relu(linear.weight @ x + linear.bias)
    expected = model.head.weight @ hidden + model.head.bias
    assert torch.allclose(torch.stack([logits["click"][0], logits["seconds"][0]]), expected)


def test_columns_without_a_width_are_left_to_the_wide_side() -> None:
    model = build(LAYOUT, {"name": "mlp", "embedding_dim": 3, "hidden": [5]})
    assert model.input.output_width == 3 + 1
