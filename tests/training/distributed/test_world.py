"""The world of several processes; `test_shard.py` checks its exchanges with real ones."""

import threading
import time

import pytest
import torch
import torch.distributed as dist

from crosstower.errors import DataError, TrainingError
from crosstower.nn.world import ALONE
from crosstower.training.distributed.world import _close, _error_of, open_world


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


def test_threads_of_exchanges_can_drop_their_tensors_before_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dropped = threading.Event()

    def drop() -> None:
        time.sleep(0.05)  # the thread runs when the system lets it
        dropped.set()

    # A C++ thread that waits for Python's lock when the process ends would abort it.
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "destroy_process_group", threading.Thread(target=drop).start)
    _close()
    assert dropped.is_set()
