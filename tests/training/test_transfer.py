"""The path of batches to a GPU, gone through on the CPU.

`torch.cpu` has streams and events that do nothing, so that the order of calls can be run and looked
at here; that copies overlap with computing can only be seen on a GPU.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.retrieval.data.pairs import Pairs
from crosstower.training import transfer
from crosstower.training.transfer import DataWaitTimer, transferred

CPU = torch.device("cpu")


def batches(count: int = 5) -> list[Batch]:
    return [
        Batch(
            torch.full((3, 2), i, dtype=torch.int32),
            torch.full((3, 1), float(i)),
            {"genres": torch.full((3, 4), i, dtype=torch.int32)},
            torch.ones(3, 1),
        )
        for i in range(count)
    ]


def pairs(count: int = 5) -> list[Pairs]:
    places = torch.arange(3)
    return [Pairs(batch, places, places) for batch in batches(count)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would be asked of a GPU's memory, as (call, elements of the tensor)."""
    seen: list[tuple[str, int]] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(("pin", tensor.numel()))
        return tensor.clone()

    def record(tensor: torch.Tensor, _stream: Any) -> None:
        seen.append(("record", tensor.numel()))

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "record_stream", record)
    return seen


def test_on_the_cpu_batches_pass_as_they_are() -> None:
    given = batches()
    assert all(a is b for a, b in zip(transferred(iter(given), CPU), given, strict=True))


@pytest.mark.parametrize("made", [batches, pairs])
def test_every_batch_is_pinned_copied_and_kept_in_order(
    made: Any, calls: list[tuple[str, int]]
) -> None:
    moved = list(transfer._overlapped(iter(made()), CPU))
    of_pairs = made is pairs
    for number, batch in enumerate(moved):
        inner = batch.query if of_pairs else batch
        assert inner.codes.unique().tolist() == [number]
        assert inner.lists["genres"].shape == (3, 4)
    tensors = 6 if of_pairs else 4
    assert [name for name, _ in calls].count("pin") == 5 * tensors
    assert [name for name, _ in calls].count("record") == 5 * tensors


def test_a_batch_is_waited_for_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, int]]
) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cpu.Stream, "record_event", lambda _s: len(calls), raising=False)
    monkeypatch.setattr(torch.cpu.Stream, "wait_event", lambda _s, event: waited.append(event))
    for number, _ in enumerate(transfer._overlapped(iter(batches()), CPU), start=1):
        assert len(waited) == number
    assert waited == sorted(waited, key=int)


def test_an_error_of_the_reader_arrives(calls: list[tuple[str, int]]) -> None:
    def broken() -> Iterator[Batch]:
        yield batches()[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(transfer._overlapped(broken(), CPU))
    assert calls


def test_waits_are_summed() -> None:
    def slow() -> Iterator[int]:
        for i in range(3):
            time.sleep(0.02)
            yield i
        time.sleep(0.02)  # the end is waited for as well

    waits = DataWaitTimer(slow())
    assert list(waits) == [0, 1, 2]
    assert waits.seconds >= 0.08
