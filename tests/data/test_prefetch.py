import threading
from collections.abc import Iterator

import pytest
import torch

from crosstower.data.prefetch import prefetch


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
    """By the thread that reads them, before the loop's own thread goes on."""
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
