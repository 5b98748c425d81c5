"""ESMM: probabilities multiply along a chain of binary tasks."""

import pytest
import torch

from crosstower.data.layout import Layout
from crosstower.errors import RecipeError
from crosstower.models.registry import build

from .multitask import BATCH, CODES, STARS, model_of, tower, x0_of


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
        (["click", "click"], "click, click"),
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
