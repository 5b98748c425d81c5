"""Dropout of a part of the rows, and of packed histories, with a stand-in for the world."""

from types import SimpleNamespace

import torch

from crosstower.training.distributed.dropout import ApartDropout, PartDropout


def test_a_row_that_only_fills_a_place_stays_whole() -> None:
    world = SimpleNamespace(total=2, rows=slice(0, 0))
    rows = torch.ones(1, 4)
    assert PartDropout(0.5, world)(rows) is rows  # type: ignore[arg-type]


def test_masks_of_histories_differ_by_process_and_leave_random_numbers_equal() -> None:
    masks, after = list[torch.Tensor](), list[torch.Tensor]()
    for rank, shape in ((0, (3, 2, 40)), (1, (5, 2, 40)), (0, (3, 2, 40))):
        torch.manual_seed(7)
        drop = ApartDropout(0.25, SimpleNamespace(rank=rank))  # type: ignore[arg-type]
        masks.append(drop(torch.ones(shape)))
        after.append(torch.rand(4))
    assert torch.equal(masks[0], masks[2])  # a resumed training has them again
    assert not torch.equal(masks[0], masks[1][:3])
    assert torch.equal(after[0], after[1])  # whatever the shapes of the processes
    assert set(masks[1].unique().tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    whole = torch.ones(2, 3)
    assert drop.eval()(whole) is whole
