"""The world of several processes; `test_shard.py` checks its exchanges with real ones."""

import pytest
import torch

from crosstower.errors import DataError, TrainingError
from crosstower.nn.world import ALONE
from crosstower.training.distributed.world import _error_of, open_world


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert open_world(torch.device("cpu")) is ALONE


def test_an_error_of_the_first_process_keeps_its_kind() -> None:
    known = _error_of({"error": "DataError", "words": "users.csv: no rows"})
    assert type(known) is DataError
    assert str(known) == "users.csv: no rows"
    other = _error_of({"error": "KeyError", "words": "'user'"})
    assert type(other) is TrainingError
    assert str(other) == "the first process ended: KeyError: 'user'"
