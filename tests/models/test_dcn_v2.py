import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.registry import build
from crosstower.nn.cross import CrossLowRank

LAYOUT = Layout((CodeField("a", 6, "a"),), ("x",), (), (Head("click", "binary"),))
BATCH = Batch(torch.tensor([[3], [4]]).int(), torch.tensor([[0.5], [-1.0]]), {}, torch.zeros(2, 1))


def cross(model: torch.nn.Module, x0: torch.Tensor) -> torch.Tensor:
    x = x0
    for layer in model.body.cross.layers:
        x = x0 * (x @ layer.linear.weight.T + layer.linear.bias) + x
    return x


@pytest.mark.parametrize("structure", ["stacked", "parallel", "stacked_with_input"])
def test_structures_are_those_of_the_paper(structure: str) -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": "dcn_v2", "structure": structure, "dropout": 0.0})
    x0 = model.input(BATCH.codes, BATCH.numbers, {})
    crossed, mlp = cross(model, x0), model.body.mlp
    body = {
        "stacked": lambda: mlp(crossed),
        "parallel": lambda: torch.cat([crossed, mlp(x0)], 1),
        "stacked_with_input": lambda: mlp(torch.cat([crossed, x0], 1)),
    }[structure]()
    torch.testing.assert_close(model(BATCH)["click"], model.head(body)[:, 0])


def test_the_rank_defaults_to_a_quarter_of_the_width() -> None:
    model = build(LAYOUT, {"name": "dcn_v2", "cross": "low_rank", "cross_layers": 3})
    layers = list(model.body.cross.layers)
    assert [type(layer) for layer in layers] == [CrossLowRank] * 3
    assert layers[0].down.weight.shape == (17 // 4, 17)
