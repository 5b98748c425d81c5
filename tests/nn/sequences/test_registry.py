"""What every encoder promises: causality, no effect of padding, and options by name."""

import pytest
import torch
from torch import Tensor, nn

from crosstower.errors import RecipeError
from crosstower.nn.sequences.registry import (
    SEQUENCES,
    build_sequence,
    register_sequence,
)
from crosstower.nn.sequences.steps import Steps

from .histories import COUNTS, PRESENT, B, D, L, encoder, rows

NAMES = ["bsarec", "hstu", "transformer"]


def test_the_encoders_are_known() -> None:
    assert [n for n in SEQUENCES.names() if n not in SEQUENCES.own(SEQUENCES.names())] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_later_value_changes_no_earlier_output(name: str) -> None:
    model, x, steps = encoder(name), rows()[:1], Steps.of(PRESENT[:1])
    before = model(x, steps)
    for changed in range(L):
        other = x.clone()
        other[0, changed] = torch.randn(D)  # a shift would be normalised away
        after = model(other, steps)
        assert torch.equal(after[0, :changed], before[0, :changed])
        assert not torch.allclose(after[0, changed:], before[0, changed:])


@pytest.mark.parametrize("name", NAMES)
def test_padding_and_its_values_change_nothing(name: str) -> None:
    model, x = encoder(name), rows()
    found = model(x, Steps.of(PRESENT))
    other = model(torch.where(PRESENT.unsqueeze(-1), x, 9.0), Steps.of(PRESENT))
    assert found.isfinite().all()
    for i, count in enumerate(COUNTS.tolist()):
        torch.testing.assert_close(other[i, :count], found[i, :count])
        if count:
            alone = model(x[i : i + 1, :count], Steps.of(PRESENT[i : i + 1, :count]))
            torch.testing.assert_close(alone[0], found[i, :count])


@pytest.mark.parametrize("name", NAMES)
def test_histories_packed_into_one_row_are_those_of_rows_of_their_own(name: str) -> None:
    model, x = encoder(name), rows()
    packed = torch.cat([x[i, :count] for i, count in enumerate(COUNTS.tolist())])
    first = torch.repeat_interleave(COUNTS.cumsum(0) - COUNTS, COUNTS)
    steps = Steps.of(torch.ones(1, len(packed), dtype=torch.bool), first.unsqueeze(0))
    found, apart = model(packed.unsqueeze(0), steps)[0], model(x, Steps.of(PRESENT))
    torch.testing.assert_close(found, torch.cat([apart[i, :c] for i, c in enumerate(COUNTS)]))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_histories_does_not_matter(name: str) -> None:
    model, x = encoder(name), rows()
    order = torch.randperm(B, generator=torch.Generator().manual_seed(2))
    found = model(x, Steps.of(PRESENT))[order]
    torch.testing.assert_close(model(x[order], Steps.of(PRESENT[order])), found)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    model = encoder(name, blocks=3)
    model(rows(), Steps.of(PRESENT))[0, -1].square().sum().backward()
    assert len(model.blocks) == 3  # type: ignore[arg-type]
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.any()


def test_an_unknown_option_names_the_column_and_what_is_allowed() -> None:
    with pytest.raises(RecipeError, match=r"schema\.columns\.had\.alpha: pooling hstu has no such"
                       " option; allowed: blocks, heads"):  # fmt: skip
        build_sequence(
            "hstu", D, L, dropout=0.0, options={"alpha": 0.5}, where="schema.columns.had"
        )
    with pytest.raises(RecipeError, match=r"schema\.columns\.had\.heads: expected a divisor"):
        build_sequence("hstu", D, L, dropout=0.0, options={"heads": 3}, where="schema.columns.had")


def test_an_encoder_of_ones_own_is_found_by_name() -> None:
    @register_sequence("last_value_of_a_test")
    class LastValue(nn.Module):
        def __init__(self, width: int, length: int, *, dropout: float) -> None:
            super().__init__()

        def forward(self, rows: Tensor, steps: Steps) -> Tensor:
            return rows

    try:
        built = build_sequence("last_value_of_a_test", D, L, dropout=0.0, options={}, where="had")
        assert isinstance(built, LastValue)
    finally:
        del SEQUENCES.entries["last_value_of_a_test"]
