"""DIN against its formula in float64, value by value."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from crosstower.data.ragged import Ragged
from crosstower.nn.target_attention import TargetAttention

B, L, D = 5, 7, 8
COUNTS = torch.tensor([7, 3, 1, 0, 5])
PRESENT = torch.arange(L) < COUNTS.unsqueeze(1)
Floats = NDArray[np.float64]


def layer() -> TargetAttention:
    torch.manual_seed(1)
    found = TargetAttention(D, L)
    torch.nn.init.constant_(found.activation.weight, 0.4)
    return found.double()


def inputs() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    shape = {"generator": random, "dtype": torch.float64}
    return torch.randn(B, D, **shape), torch.randn(B, L, D, **shape)  # type: ignore[arg-type]


def oracle(attend: TargetAttention, v: Floats, values: Floats) -> Floats:
    """Equation 3 of the paper for one candidate [D] and its history [n, D]."""
    weight, bias = (p.detach().numpy() for p in attend.hidden.parameters())
    last, offset = (p.detach().numpy() for p in attend.out.parameters())
    slope, total = attend.activation.weight.item(), np.zeros(D)
    for e in values:
        hidden = weight @ np.concatenate([v, e, v - e, v * e]) + bias
        hidden = np.where(hidden > 0, hidden, slope * hidden)
        total += (last[0] @ hidden + offset[0]) * e
    return total


def test_each_value_is_weighted_by_the_activation_unit() -> None:
    attend, (target, rows) = layer(), inputs()
    found = attend(target, rows, PRESENT).detach().numpy()
    for i, count in enumerate(COUNTS.tolist()):
        expected = oracle(attend, target[i].numpy(), rows[i, :count].numpy())
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-12)


def test_lists_without_padding_give_the_same() -> None:
    attend, (target, rows) = layer(), inputs()
    ends = torch.cat([torch.zeros(1, dtype=torch.long), COUNTS.cumsum(0)])
    lists = Ragged(torch.ones(int(ends[-1]), dtype=torch.int32), ends, L)
    found = attend.ragged(target, rows[PRESENT], lists)
    torch.testing.assert_close(found, attend(target, rows, PRESENT))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_candidates_that_share_a_history_are_as_each_alone(count: int) -> None:
    attend, (target, rows) = layer(), inputs()
    present = torch.arange(L).unsqueeze(0) < count
    together = attend(target, rows[:1], present)
    each = [attend(target[i : i + 1], rows[:1], present) for i in range(B)]
    torch.testing.assert_close(together, torch.cat(each))
    assert count or not together.any()


def test_a_history_of_ten_thousand_costs_its_values_alone() -> None:
    """One long list among empty ones; padding would take 40 GB."""
    attend, owners = layer().float(), 100_000
    counts = torch.zeros(owners, dtype=torch.long)
    counts[7] = 10_000
    ends = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    rows, target = torch.randn(10_000, D), torch.randn(owners, D)
    lists = Ragged(torch.ones(10_000, dtype=torch.int32), ends, 10_000)
    found = attend.ragged(target, rows, lists)
    one = attend(target[7:8], rows.unsqueeze(0), torch.ones(1, 10_000, dtype=torch.bool))
    torch.testing.assert_close(found[7:8], one, rtol=1e-4, atol=1e-3)
    assert not found[8:].any()
