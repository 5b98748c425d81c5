"""Prepare items in a thread while the caller works on the ones before, also on a GPU."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar

import torch

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], *, depth: int) -> Iterator[Item]:
    """Yield from `items`, kept `depth` ahead by a thread; its errors are raised here.

    Leaving the loop early stops the thread and closes `items`.
    """
    reader = _Reader(items, depth)
    reader.start()
    try:
        while (item := reader.ready.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        reader.stop()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Reader(threading.Thread, Generic[Item]):
    """Puts items, then None, or the error that ended them, into a short queue."""

    def __init__(self, items: Iterator[Item], depth: int) -> None:
        super().__init__(daemon=True)
        self.ready: queue.Queue[Item | _Failure | None] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._items = items

    def run(self) -> None:
        # With a team of threads of its own it would take the cores that the model computes on.
        # Threads that start later take over the number: it is put back at the end.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for item in self._items:
                self.ready.put(item)
                if self._stopped.is_set():
                    return
            self.ready.put(None)
        except BaseException as error:  # handed to the caller
            self.ready.put(_Failure(error))
        finally:
            if isinstance(self._items, Generator):  # it may read ahead in a thread of its own
                self._items.close()
            torch.set_num_threads(threads)

    def stop(self) -> None:
        """End the thread: it puts one thing more at most, for which there is room then."""
        self._stopped.set()
        while not self.ready.empty():
            self.ready.get()
        self.join()


class Transferable(Protocol):
    """A batch that can be moved between devices."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """Return the batch on a device."""
        ...

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory, which a GPU reads without the CPU."""
        ...

    def record_stream(self, stream: Any) -> None:
        """Keep its memory until the work queued on `stream` is done."""
        ...


Moved = TypeVar("Moved", bound=Transferable)


def transferred(batches: Iterator[Moved], device: torch.device) -> Iterator[Moved]:
    """Yield batches on `device`, each copied while the previous one is computed.

    A thread pins the batch and copies it on its own stream, one batch ahead. On the CPU, batches
    are returned as they are.
    """
    return batches if device.type == "cpu" else _overlapped(batches, device)


def _overlapped(batches: Iterator[Moved], device: torch.device) -> Iterator[Moved]:
    streams = torch.get_device_module(device)
    side = streams.Stream()

    def copies() -> Iterator[tuple[Moved, Any]]:
        for batch in batches:
            with streams.stream(side):
                copied = batch.pin_memory().to(device, non_blocking=True)
                done = side.record_event()
            yield copied, done

    for batch, done in prefetch(copies(), depth=1):
        current = streams.current_stream()
        current.wait_event(done)
        batch.record_stream(current)
        yield batch


class DataWaitTimer(Generic[Item]):
    """Iterates over `items` and sums the seconds of waiting for the next one."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.seconds = 0.0
        self._items = iter(items)

    def __iter__(self) -> DataWaitTimer[Item]:
        """Return itself; it can be iterated once."""
        return self

    def __next__(self) -> Item:
        """Return the next item."""
        start = time.perf_counter()
        try:
            return next(self._items)
        finally:
            self.seconds += time.perf_counter() - start
