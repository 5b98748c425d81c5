"""Transfer of batches to the device, overlapped with computation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar

import torch

from crosstower.data.prefetch import prefetch


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
Item = TypeVar("Item")


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
