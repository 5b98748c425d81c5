import pytest
import torch

from crosstower.errors import TrainingError
from crosstower.training.devices import pick_device


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(TrainingError, match=r"cuda:1 asked for.*training\.device=cpu"):
        pick_device("cuda:1")
