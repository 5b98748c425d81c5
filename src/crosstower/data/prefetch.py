"""Prepare items in a thread while the caller works on the ones before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")
_POLL_SECONDS = 0.1


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
        reader.stopped.set()
        reader.join()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Reader(threading.Thread, Generic[Item]):
    """Puts items, then None, or the error that ended them, into a short queue."""

    def __init__(self, items: Iterator[Item], depth: int) -> None:
        super().__init__(daemon=True)
        self.ready: queue.Queue[Item | _Failure | None] = queue.Queue(depth)
        self.stopped = threading.Event()
        self._items = items

    def run(self) -> None:
        # With a team of threads of its own it would take the cores that the model computes on.
        # Threads that start later take over the number: it is put back at the end.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for item in self._items:
                if not self._offer(item):
                    return
            self._offer(None)
        except BaseException as error:  # handed to the caller
            self._offer(_Failure(error))
        finally:
            if isinstance(self._items, Generator):  # it may read ahead in a thread of its own
                self._items.close()
            torch.set_num_threads(threads)

    def _offer(self, item: Item | _Failure | None) -> bool:
        while not self.stopped.is_set():
            try:
                self.ready.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            else:
                return True
        return False
