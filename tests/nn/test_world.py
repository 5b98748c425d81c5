"""One process alone: nothing is exchanged."""

import torch

from crosstower.nn.world import ALONE, World


def test_one_process_has_all_rows_and_its_own_values() -> None:
    values = torch.ones(3, requires_grad=True)
    assert ALONE.sum(values) is values
    assert ALONE.all_rows(values, 3) is values
    assert ALONE.part(3) == slice(0, 3)
    assert (ALONE.any(True), ALONE.any(False), ALONE.largest(7)) == (True, False, 7)
    assert ALONE.all_values(0.5) == [0.5]
    assert World().first(lambda: {"loss": 0.1}) == {"loss": 0.1}
