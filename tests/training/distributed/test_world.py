"""Exchanges of two and three real processes; `tests/fixtures/exchanges.py` has the checks."""

import pytest
import torch

from crosstower.nn.world import ALONE
from crosstower.training.distributed.world import open_world

from ...fixtures.processes import FIXTURES, must_succeed

pytest.importorskip("torchrec")

CHECKS = ["sums", "rows_of_all", "work_of_the_first", "dropout", "tables", "fused"]


@pytest.mark.parametrize("size", [2, 3])
def test_exchanges_give_what_one_process_computes(size: int) -> None:
    first, *_ = must_succeed([str(FIXTURES / "exchanges.py")], size)
    assert first.split() == CHECKS


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert open_world(torch.device("cpu")) is ALONE
