import pytest
import torch

from crosstower.errors import RecipeError
from crosstower.fitting import distributed_checks
from crosstower.fitting.distributed_checks import check_processes
from crosstower.recipe.training import Training


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all packages be there, which the checks of options come after."""
    monkeypatch.setattr(distributed_checks, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"task_balance": "pcgrad"},
            r"training\.task_balance: pcgrad .* use static or uncertainty",
        ),
        ({"task_balance": "gradnorm"}, r"training\.task_balance: gradnorm .* use static"),
        ({"tables": "host"}, r"training\.tables: host .* set training\.tables=device"),
        ({"device": "cuda:1"}, r"training\.device: cuda:1 .* set training\.device=cuda or cpu"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(options: dict[str, str], words: str) -> None:
    check_processes(Training.model_validate(options), 1)
    with pytest.raises(RecipeError, match=words):
        check_processes(Training.model_validate(options), 2)


def test_a_missing_package_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed_checks, "find_spec", lambda _name: None)
    check_processes(Training(), 1)
    with pytest.raises(RecipeError, match=r"'torchrec'.*crosstower\[distributed\].*--no-deps"):
        check_processes(Training(), 2)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    check_processes(Training(), 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(RecipeError, match=r"2 GPU\(s\) for 4 processes"):
        check_processes(Training(), 4)
    check_processes(Training(device="cpu"), 4)


def test_other_options_are_trained_by_several_processes() -> None:
    check_processes(Training(embedding_optimizer="lazy_adam", clip_norm=1.0), 8)
    check_processes(Training(task_balance="uncertainty", device="cpu"), 2)
