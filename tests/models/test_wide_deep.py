import torch

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.models.registry import build

LAYOUT = Layout(
    (CodeField("a", 6, "a"), CodeField("a_b", 9, "a_b", 0)), ("x",), (), (Head("click", "binary"),)
)
BATCH = Batch(
    torch.tensor([[3, 5], [4, 8]]).int(), torch.tensor([[0.5], [-1.0]]), {}, torch.zeros(2, 1)
)


def test_sum_adds_wide_and_deep_logits() -> None:
    model = build(LAYOUT, {"name": "wide_deep", "dropout": 0.0})
    torch.nn.init.normal_(model.wide.weight)
    wide = model.wide(BATCH.codes, BATCH.numbers, {})
    deep = model.combine.head(model.mlp(model.input(BATCH.codes, BATCH.numbers, {})))
    torch.testing.assert_close(model(BATCH)["click"], (wide + deep)[:, 0])


def test_concat_starts_as_the_sum_of_both_sides() -> None:
    model = build(LAYOUT, {"name": "wide_deep", "combine": "concat", "dropout": 0.0})
    torch.nn.init.normal_(model.wide.weight)
    hidden = model.mlp(model.input(BATCH.codes, BATCH.numbers, {}))
    weight, bias = model.combine.head.weight, model.combine.head.bias
    wide = model.wide(BATCH.codes, BATCH.numbers, {})
    assert weight[:, :1].tolist() == [[1.0]]
    expected = wide + hidden @ weight[:, 1:].T + bias
    torch.testing.assert_close(model(BATCH)["click"], expected[:, 0])


def test_a_cross_lives_in_the_wide_side_alone() -> None:
    model = build(LAYOUT, {"name": "wide_deep"})
    assert model.wide.weight.shape == (6 + 9, 1)
    assert {w: len(t) for w, t in model.input.embed.tables.items()} == {"16": 6}


def test_the_wide_side_can_be_chosen() -> None:
    model = build(LAYOUT, {"name": "wide_deep", "wide_columns": ["a_b"], "wide_numbers": False})
    assert model.wide.weight.shape == (9, 1)
    assert model.wide.number_weight is None
