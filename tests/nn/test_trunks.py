import pytest
import torch
from pydantic import BaseModel, ValidationError

from crosstower.data.layout import CodeField, Head, Layout
from crosstower.errors import RecipeError
from crosstower.nn.deep_cross import Parallel
from crosstower.nn.mlp import MLP
from crosstower.nn.trunks import (
    DeepCrossTrunk,
    MLPTrunk,
    Trunk,
    WideDeepTrunk,
    build_trunk,
    build_trunks,
    build_wide,
)

from ..models.multitask import BATCH, NAMES, model_of

LAYOUT = Layout((CodeField("a", 6, "a"),), ("x",), (), (Head("click", "binary"),))


class Options(BaseModel):
    trunk: Trunk = MLPTrunk()


def test_a_name_alone_is_short_for_its_defaults() -> None:
    assert Options.model_validate({"trunk": "dcn_v2"}).trunk == DeepCrossTrunk()
    assert Options.model_validate({"trunk": {"name": "mlp", "hidden": [8]}}).trunk.hidden == (8,)


@pytest.mark.parametrize("wrong", ["transformer", {"name": "mlp", "cross": "full"}])
def test_what_a_trunk_does_not_know_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"trunk": wrong})


@pytest.mark.parametrize(
    ("trunk", "kind"),
    [(MLPTrunk(), MLP), (WideDeepTrunk(), MLP), (DeepCrossTrunk(), Parallel)],
    ids=["mlp", "wide_deep", "dcn_v2"],
)
def test_a_trunk_says_how_wide_it_is(trunk: Trunk, kind: type) -> None:
    built = build_trunk(trunk, 10)
    assert isinstance(built, kind)
    assert built(torch.randn(3, 10)).shape == (3, built.output_width)


def test_only_wide_and_deep_has_a_linear_side() -> None:
    assert build_wide(MLPTrunk(), LAYOUT) is None
    assert build_wide(DeepCrossTrunk(), LAYOUT) is None
    wide = build_wide(WideDeepTrunk(wide_numbers=False), LAYOUT)
    assert wide is not None
    assert wide.number_weight is None


def test_trunks_have_weights_of_their_own() -> None:
    one, other = build_trunks(MLPTrunk(hidden=(4,)), 3, 2)
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


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
