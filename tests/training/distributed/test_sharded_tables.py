"""Sharded tables: their exchanges are tested with real processes in `test_world.py`."""

import torch

from crosstower.training.distributed.sharded_tables import _Lookup, _places


def test_places_are_those_of_the_distinct_ids() -> None:
    ids = torch.tensor([2, 5, 9])
    held = _Lookup(ids, torch.zeros(3, 1), torch.zeros(3, 1), ids)
    assert _places(held, torch.tensor([[9, 2], [5, 5]])).tolist() == [[2, 0], [1, 1]]
