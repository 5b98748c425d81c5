"""Dropout of a part of the rows, with a stand-in for the world."""

from types import SimpleNamespace

import torch

from crosstower.training.distributed.dropout import PartDropout


def test_a_row_that_only_fills_a_place_stays_whole() -> None:
    world = SimpleNamespace(total=2, rows=slice(0, 0))
    rows = torch.ones(1, 4)
    assert PartDropout(0.5, world)(rows) is rows  # type: ignore[arg-type]
