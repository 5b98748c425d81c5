"""Items prepared in a thread, and the path of batches to a GPU, gone through on the CPU.

`torch.cpu` has streams and events that do nothing, so that the order of calls can be run and looked
at here; that copies overlap with computing can only be seen on a GPU.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from crosstower.data import prefetch as module
from crosstower.data.batch import Batch
from crosstower.data.prefetch import DataWaitTimer, prefetch, transferred
from crosstower.retrieval.data.pairs import Pairs

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


def test_items_come_in_order() -> None:
    assert list(prefetch(iter(range(100)), depth=2)) == list(range(100))


def test_an_error_in_the_thread_is_raised_here_after_what_came_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("disk gone")

    seen = []
    with pytest.raises(ValueError, match="disk gone"):
        seen.extend(prefetch(items(), depth=2))
    assert seen == [1]


def test_it_reads_ahead_but_no_further_than_asked() -> None:
    made, two_ahead = [], threading.Event()

    def items() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            if i == 3:
                two_ahead.set()
            yield i

    stream = prefetch(items(), depth=2)
    assert next(stream) == 0
    assert two_ahead.wait(5)  # 1 and 2 are in the queue, 3 waits for a place
    assert made == [0, 1, 2, 3]
    stream.close()


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    stream = prefetch(iter(range(1000)), depth=2)
    next(stream)
    stream.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_loop_can_be_left_after_any_item(depth: int) -> None:
    before = threading.active_count()
    for taken in range(1, 9):
        for _ in range(20):  # the thread is caught waiting, making an item, or at its end
            stream = prefetch(iter(range(8)), depth=depth)
            assert [item for item, _ in zip(stream, range(taken), strict=False)] == [
                *range(min(taken, 8))
            ]
            stream.close()
    assert threading.active_count() == before


def test_the_number_of_threads_is_left_alone() -> None:
    """One thread reads ahead; threads that start later compute with as many as before."""
    before = torch.get_num_threads()
    seen: list[int] = []

    def items() -> Iterator[int]:
        seen.append(torch.get_num_threads())
        yield 1

    assert list(prefetch(items(), depth=1)) == [1]
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [1, before]
    assert torch.get_num_threads() == before


def test_the_items_are_closed_when_the_loop_is_left() -> None:
    """By the thread that reads them, before the loop's own thread continues."""
    closed: list[str] = []

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.append(threading.current_thread().name)

    stream = prefetch(items(), depth=2)
    next(stream)
    stream.close()
    assert len(closed) == 1
    assert closed[0] != threading.current_thread().name


def test_one_thread_may_read_ahead_of_another() -> None:
    threads, torch_threads = threading.active_count(), torch.get_num_threads()
    stream = prefetch((i * 2 for i in prefetch(iter(range(1000)), depth=1)), depth=1)
    assert [next(stream) for _ in range(5)] == [0, 2, 4, 6, 8]
    stream.close()
    assert threading.active_count() == threads
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [torch_threads]


def test_on_the_cpu_batches_pass_as_they_are() -> None:
    given = batches()
    assert all(a is b for a, b in zip(transferred(iter(given), CPU), given, strict=True))


@pytest.mark.parametrize("made", [batches, pairs])
def test_every_batch_is_pinned_copied_and_kept_in_order(
    made: Any, calls: list[tuple[str, int]]
) -> None:
    moved = list(module._overlapped(iter(made()), CPU))
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
    for number, _ in enumerate(module._overlapped(iter(batches()), CPU), start=1):
        assert len(waited) == number
    assert waited == sorted(waited, key=int)


def test_an_error_of_the_reader_arrives(calls: list[tuple[str, int]]) -> None:
    def broken() -> Iterator[Batch]:
        yield batches()[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(module._overlapped(broken(), CPU))
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
