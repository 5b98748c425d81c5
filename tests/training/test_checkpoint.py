import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from crosstower.errors import RunError, TrainingError
from crosstower.training.checkpoint import (
    Position,
    load_checkpoint,
    load_weights,
    read_position,
    save_checkpoint,
)


def stepped(seed: int = 0) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    return model, [optimizer]


def test_everything_comes_back(tmp_path: Path) -> None:
    model, optimizers = stepped()
    position = Position(epoch=2, batch=7, step=99, best_value=0.5, history=[{"epoch": 0}])
    state = {"interval": torch.tensor([1.0, 4.0])}
    save_checkpoint(tmp_path / "a", model, optimizers, position, state)
    expected = torch.rand(3)
    other, others = stepped(seed=1)
    found, kept = load_checkpoint(tmp_path / "a", other, others)
    assert found == position
    assert kept["interval"].tolist() == [1.0, 4.0]
    assert torch.equal(torch.rand(3), expected)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        for key, value in optimizers[0].state[one].items():
            assert torch.equal(value, others[0].state[two][key])


def test_a_position_is_read_alone_and_of_its_own_format(tmp_path: Path) -> None:
    model, optimizers = stepped()
    position = Position(epoch=2, finished=True, limits=(3, 5))
    save_checkpoint(tmp_path / "a", model, optimizers, position)
    assert read_position(tmp_path / "a") == position
    save_file({"random": torch.zeros(1)}, tmp_path / "old", {"position": "{}"})
    with pytest.raises(RunError, match=r"a checkpoint of format 1, this version .* from format 2"):
        read_position(tmp_path / "old")


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizers = stepped()
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, model, optimizers, Position(step=1))
    before = path.read_bytes()

    def full(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*untouched.*--resume"):
        save_checkpoint(path, model, optimizers, Position(step=2))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


@pytest.mark.parametrize("keep", [0, 5, -1])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, keep: int) -> None:
    model, optimizers = stepped()
    path = tmp_path / "a"
    save_checkpoint(path, model, optimizers, Position())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match="damaged checkpoint"):
        load_weights(path, model)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    model, optimizers = stepped()
    save_checkpoint(tmp_path / "a", model, optimizers, Position())
    with pytest.raises(RunError, match="weights of another model"):
        load_weights(tmp_path / "a", nn.Linear(4, 2))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.safetensors: no such checkpoint"):
        load_weights(tmp_path / "a.safetensors", nn.Linear(1, 1))
