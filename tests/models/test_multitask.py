"""Shared bottom, MMoE, PLE and ESMM: towers, trunks, and what tasks share."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.errors import RecipeError
from crosstower.models.registry import build

CLICK, BUY, STARS = Head("click", "binary"), Head("buy", "binary"), Head("stars", "rating")
CODES = (CodeField("a", 6, "a"), CodeField("a_b", 9, "a_b", 0))
LAYOUT = Layout(CODES, ("x",), (), (CLICK, BUY, STARS))
BATCH = Batch(
    torch.tensor([[3, 5], [4, 8], [5, 3]]).int(), torch.randn(3, 1), {}, torch.zeros(3, 3)
)
NAMES = ("shared_bottom", "mmoe", "ple", "esmm")


def model_of(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return build(LAYOUT, {"name": name, **options}).eval()


def x0_of(model: nn.Module) -> Tensor:
    return model.input(BATCH.codes, BATCH.numbers, {})


def tower(model: nn.Module, task: int, x: Tensor) -> Tensor:
    return model.towers.heads[task](model.towers.towers[task](x))[:, 0]


def test_shared_bottom_is_one_trunk_and_a_tower_a_task() -> None:
    model = model_of("shared_bottom", tower_hidden=[5])
    shared = model.trunk(x0_of(model))
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, shared))


def test_mmoe_gives_each_tower_its_own_mixture() -> None:
    model = model_of("mmoe", experts=3)
    mixed = model.mixture(x0_of(model))
    assert len(model.mixture.experts) == 3
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, mixed[task]))


def test_ple_gives_each_tower_its_own_extraction() -> None:
    model = model_of("ple", specific_experts=2, shared_experts=3, levels=2)
    extracted = model.extraction(x0_of(model))
    assert [len(e) for e in model.extraction.layers[0].specific] == [2, 2, 2]
    for task, head in enumerate(LAYOUT.heads):
        torch.testing.assert_close(model(BATCH)[head.name], tower(model, task, extracted[task]))


def test_esmm_multiplies_probabilities_along_its_chain() -> None:
    model = model_of("esmm", tower_hidden=[4])
    x0, logits = x0_of(model), model(BATCH)
    click, buy, stars = (tower(model, i, model.trunks[i](x0)) for i in range(3))
    torch.testing.assert_close(logits["click"], click)
    torch.testing.assert_close(logits["stars"], stars)
    torch.testing.assert_close(logits["buy"].sigmoid(), click.sigmoid() * buy.sigmoid())


def test_the_chain_of_esmm_can_be_given() -> None:
    model = model_of("esmm", chain=["buy", "click"])
    logits = model(BATCH)
    assert (logits["click"] < logits["buy"]).all()


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (
            ["clik"],
            "model.chain: no binary task 'clik'; did you mean 'click'?; allowed: click",
        ),
        (["stars"], "no binary task 'stars'"),
        (["click", "click"], "names a task twice: click, click"),
    ],
)
def test_a_wrong_chain_is_a_recipe_error(chain: list[str], words: str) -> None:
    with pytest.raises(RecipeError) as error:
        model_of("esmm", chain=chain)
    assert words in str(error.value)


def test_esmm_needs_an_event() -> None:
    layout = Layout(CODES, (), (), (STARS,))
    with pytest.raises(RecipeError, match="needs a binary task"):
        build(layout, {"name": "esmm"})


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


@pytest.mark.parametrize("name", NAMES)
def test_any_ranking_trunk_will_do(name: str) -> None:
    trunk = {"name": "dcn_v2", "cross": "low_rank", "structure": "stacked", "hidden": [4]}
    model = model_of(name, trunk=trunk)
    assert any("cross" in n for n, _ in model.named_parameters())
    assert all(v.shape == (3,) for v in model(BATCH).values())


def test_a_misspelt_option_of_a_trunk_is_explained() -> None:
    with pytest.raises(RecipeError) as error:
        model_of("mmoe", trunk={"name": "mlp", "hiden": [4]})
    assert "model.trunk.hiden: unknown key; did you mean 'hidden'?" in str(error.value)
