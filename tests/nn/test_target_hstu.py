"""HSTU over history and candidate equals the encoder over both, read at the candidate.

The encoder itself is compared with its formula in `sequences/test_hstu.py`.
"""

import pytest
import torch
from torch import Tensor

from crosstower.nn.sequences.steps import Steps
from crosstower.nn.target_hstu import TargetHstu

B, L, D = 5, 7, 8
COUNTS = torch.tensor([7, 3, 1, 0, 5])
PRESENT = torch.arange(L) < COUNTS.unsqueeze(1)


AGES = torch.tensor([[10**9, 10**8, 86_500, 86_400, 60, 1, 0]]).expand(B, L)


def layer(blocks: int, heads: int, *, times: bool = False) -> TargetHstu:
    torch.manual_seed(1)
    found = TargetHstu(D, L, blocks=blocks, heads=heads, times=times).double().eval()
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return found


def inputs() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    draw = [torch.randn(*shape, generator=random) for shape in ((B, D), (B, L, D))]
    return draw[0].double(), draw[1].double()


@pytest.mark.parametrize(("blocks", "heads"), [(1, 1), (2, 2), (3, 4)])
def test_a_candidate_is_encoded_as_the_next_value(blocks: int, heads: int) -> None:
    attend, (target, rows) = layer(blocks, heads), inputs()
    found = attend(target, rows, PRESENT)
    for i, count in enumerate(COUNTS.tolist()):
        whole = torch.cat([rows[i, :count], target[i : i + 1]]).unsqueeze(0)
        outputs = attend.encoder(whole, Steps.of(torch.ones(1, count + 1, dtype=torch.bool)))
        expected = outputs[0, -1] if count else torch.zeros(D)
        torch.testing.assert_close(found[i], expected.to(found.dtype))


@pytest.mark.parametrize(("blocks", "heads"), [(1, 1), (3, 2)])
def test_the_time_of_a_candidate_is_that_of_its_row(blocks: int, heads: int) -> None:
    attend, (target, rows) = layer(blocks, heads, times=True), inputs()
    ages = AGES.masked_fill(~PRESENT, 0)
    found = attend(target, rows, PRESENT, ages)
    for i, count in enumerate(COUNTS.tolist()):
        if not count:
            assert not found[i].any()
            continue
        whole = torch.cat([rows[i, :count], target[i : i + 1]]).unsqueeze(0)
        of_all = torch.cat([ages[i, :count], torch.zeros(1, dtype=torch.int64)]).unsqueeze(0)
        steps = Steps.of(torch.ones(1, count + 1, dtype=torch.bool), ages=of_all)
        torch.testing.assert_close(found[i], attend.encoder(whole, steps)[0, -1])


@pytest.mark.parametrize("times", [False, True])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_candidates_that_share_a_history_are_as_each_alone(count: int, times: bool) -> None:
    attend, (target, rows) = layer(2, 2, times=times), inputs()
    present = torch.arange(L).unsqueeze(0) < count
    shared = rows[:1], present, AGES[:1] if times else None
    together = attend(target, *shared)
    each = [attend(target[i : i + 1], *shared) for i in range(B)]
    torch.testing.assert_close(together, torch.cat(each))
