"""The body of DCN-V2: which structure reads what, and options that mean nothing."""

import pytest
import torch
from pydantic import ValidationError

from crosstower.nn.cross import CrossFull, CrossGated, CrossLowRank, CrossMixture
from crosstower.nn.deep_cross import CrossOptions, deep_cross

X0 = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


def body(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return deep_cross(8, CrossOptions.model_validate({"hidden": [6, 3], **options})).eval()


def test_a_stack_reads_the_crosses_alone() -> None:
    stacked = body(structure="stacked")
    torch.testing.assert_close(stacked(X0), stacked.mlp(stacked.cross(X0)))
    assert stacked.output_width == 3


def test_parallel_parts_stand_side_by_side() -> None:
    parallel = body(structure="parallel")
    out = parallel(X0)
    assert out.shape == (5, parallel.output_width) == (5, 8 + 3)
    torch.testing.assert_close(out[:, :8], parallel.cross(X0))
    torch.testing.assert_close(out[:, 8:], parallel.mlp(X0))


def test_a_stack_with_input_reads_both() -> None:
    stacked = body(structure="stacked_with_input")
    both = torch.cat([stacked.cross(X0), X0], 1)
    torch.testing.assert_close(stacked(X0), stacked.mlp(both))
    assert stacked.output_width == 3


@pytest.mark.parametrize(
    ("cross", "kind"),
    [
        ("full", CrossFull),
        ("low_rank", CrossLowRank),
        ("mixture", CrossMixture),
        ("gated", CrossGated),
    ],
)
def test_every_layer_is_of_the_kind_asked_for(cross: str, kind: type) -> None:
    layers = list(body(cross=cross, cross_layers=3).cross.layers)
    assert [type(layer) for layer in layers] == [kind] * 3


def test_a_mixture_has_as_many_experts_as_asked_for() -> None:
    (layer,) = body(cross="mixture", cross_layers=1, experts=5, rank=2).cross.layers
    assert layer.down.shape == (5, 8, 2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 4}, "rank needs cross: low_rank or mixture"),
        ({"rank": 4, "cross": "gated"}, "rank needs cross: low_rank or mixture"),
        ({"experts": 2}, "experts needs cross: mixture"),
        ({"cross": "low_rank", "experts": 2}, "experts needs cross: mixture"),
    ],
)
def test_an_option_that_would_do_nothing_is_an_error(
    options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        body(**options)
