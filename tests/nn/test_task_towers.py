"""Towers of several tasks: own layers, and a wide side for all."""

import pytest
import torch

from crosstower.nn.task_towers import TaskTowers
from crosstower.nn.trunks import MLPTrunk

from ..models.multitask import BATCH, LAYOUT, NAMES, model_of


@pytest.mark.parametrize("name", NAMES)
def test_the_wide_side_of_a_trunk_adds_to_every_task(name: str) -> None:
    model = model_of(name, trunk={"name": "wide_deep", "hidden": [4]})
    before = model(BATCH)
    with torch.no_grad():
        model.towers.wide.bias += torch.tensor([1.0, 2.0, 3.0])
    after = model(BATCH)
    torch.testing.assert_close(after["click"], before["click"] + 1.0)
    torch.testing.assert_close(after["stars"], before["stars"] + 3.0)
    assert (after["buy"] > before["buy"]).all()


@pytest.mark.parametrize("hidden", [(), (5,)])
def test_each_logit_is_that_of_its_own_tower_and_input(hidden: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    towers = TaskTowers(LAYOUT, MLPTrunk(), width=4, hidden=hidden, dropout=0.0)
    inputs = [torch.randn(3, 4) for _ in LAYOUT.heads]
    logits = towers(inputs, BATCH)
    assert logits.shape == (3, len(LAYOUT.heads))
    changed = towers([inputs[0], inputs[1] + 1, inputs[2]], BATCH)
    assert ((changed == logits).all(0)).tolist() == [True, False, True]
    if not hidden:  # a linear layer is left
        weight = towers.heads[2].weight[0]
        torch.testing.assert_close(logits[:, 2], inputs[2] @ weight + towers.heads[2].bias)


def test_an_input_for_every_task_is_needed() -> None:
    towers = TaskTowers(LAYOUT, MLPTrunk(), width=4, hidden=(), dropout=0.0)
    with pytest.raises(ValueError, match="zip"):
        towers([torch.randn(3, 4)], BATCH)
