"""The world of a training run by several processes, on `torch.distributed`."""

from __future__ import annotations

import atexit
import json
import os
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from crosstower import errors
from crosstower.data.rows_per_process import part_of
from crosstower.errors import CrosstowerError, TrainingError
from crosstower.nn.world import ALONE, World

TIMEOUT = 600.0
"""Seconds that a process waits for the others in one exchange."""

_LAST_TENSORS = 0.2  # seconds that threads have to drop the tensors of the last exchange
_LONGEST = timedelta(days=30)  # of work by only rank 0, such as reading the rows


class ProcessWorld(World):
    """The processes that `torchrun` starts, each with a part of every batch.

    Exchanges of numbers use the default process group. Waiting for rank 0 uses the store, which
    has no part in the timeout of exchanges.

    Args:
        device: on which this process computes; a GPU exchanges by NCCL, a CPU by Gloo.
        timeout: seconds that an exchange waits for the other processes.

    """

    def __init__(self, device: torch.device, *, timeout: float = TIMEOUT) -> None:
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        self.store, self.rank, self.size = next(rendezvous("env://"))
        dist.init_process_group(
            backend,
            store=self.store,
            rank=self.rank,
            world_size=self.size,
            timeout=timedelta(seconds=timeout),
        )
        atexit.register(_close)
        self.device, self.timeout = device, timeout
        self.rows = slice(0, 0)
        self.total: int | None = 0
        self.generator = torch.Generator(device).manual_seed(self.rank)
        self._turns = 0
        # What this process gave to the last exchanges of a step, to find one that is not finite.
        self._given = deque[Tensor](maxlen=8)

    def computing(self, total: int) -> None:
        """Announce that a model is about to compute this process's part of `total` rows."""
        self.rows, self.total = self.part(total), total

    def computing_alone(self) -> None:
        """Announce that a model is about to compute rows that only this process knows."""
        self.total = None

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes; its gradient goes to the values of this process."""
        self._given.append(values.detach())
        return _Sum.apply(values)

    def all_rows(self, rows: Tensor, total: int) -> Tensor:
        """Return the `total` rows of all processes, with gradient; each process has its `part`."""
        self._given.append(rows.detach())
        return _AllRows.apply(rows, total, self)

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return self.largest(int(flag)) > 0

    def largest(self, number: int) -> int:
        """Return the largest of the processes' numbers."""
        found = torch.tensor(number)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def all_values(self, value: float) -> list[float]:
        """Return the value of each process, by rank."""
        found = torch.zeros(self.size, dtype=torch.float64)
        found[self.rank] = value
        dist.all_reduce(found)
        return found.tolist()

    def not_finite(self) -> list[int]:
        """Return the processes that have added a number that is not finite to the last sums."""
        for given in self._given:
            flags = self.all_values(0.0 if bool(given.isfinite().all()) else 1.0)
            if any(flags):
                return [rank for rank, flag in enumerate(flags) if flag]
        return []

    def first(self, work: Callable[[], Any]) -> Any:
        """Run `work` in the process of rank 0 only, and return its result everywhere.

        The others wait as long as it takes. An error of rank 0 is raised in all processes.

        Args:
            work: returns plain data: numbers, texts, None, lists and dicts with texts as keys.

        """
        return self.by(0, work)

    def by(self, rank: int, work: Callable[[], Any]) -> Any:
        """Run `work` in the process of a rank only, and return its result everywhere.

        Args:
            rank: of the process.
            work: returns plain data: numbers, texts, None, lists and dicts with texts as keys.

        """
        self._turns += 1
        key = f"crosstower/by/{self._turns}"
        if self.rank == rank:
            return self._told(key, work)
        self.store.wait([key], _LONGEST)
        found = json.loads(self.store.get(key))
        if "error" in found:
            raise _error_of(found)
        return found["value"]

    def _told(self, key: str, work: Callable[[], Any]) -> Any:
        try:
            value = work()
        except BaseException as error:
            name = type(error).__name__
            self.store.set(key, json.dumps({"error": name, "words": str(error)}))
            raise
        self.store.set(key, json.dumps({"value": value}))
        return value


class _Sum(torch.autograd.Function):
    """The sum over processes; each of them computes the gradient of its own part."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        whole = values.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        del ctx
        return grads[0]


class _AllRows(torch.autograd.Function):
    """Rows of all processes, in the order of ranks; the gradient is the sum over processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, total: int, world: ProcessWorld) -> Tensor:
        counts = [len(range(total)[part_of(total, r, world.size)]) for r in range(world.size)]
        ctx.own = world.part(total)
        room = rows.new_zeros((max(counts), *rows.shape[1:]))
        room[: len(rows)] = rows
        parts = [torch.empty_like(room) for _ in counts]
        dist.all_gather(parts, room)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        whole = grads[0].contiguous().clone()
        dist.all_reduce(whole)
        return whole[ctx.own], None, None


def _error_of(found: dict[str, str]) -> CrosstowerError:
    kind = getattr(errors, found["error"], None)
    known = isinstance(kind, type) and issubclass(kind, CrosstowerError)
    if known:
        return cast("type[CrosstowerError]", kind)(found["words"])
    return TrainingError(f"the first process ended: {found['error']}: {found['words']}")


_OPEN: list[ProcessWorld] = []


def open_world(device: torch.device, *, timeout: float = TIMEOUT) -> World:
    """Return the world that `torchrun` describes by the environment; one process without it.

    Args:
        device: on which this process computes.
        timeout: seconds that an exchange waits for the other processes.

    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    if not _OPEN:  # the processes of `torchrun` are in one world from start to end
        _OPEN.append(ProcessWorld(device, timeout=timeout))
    return _OPEN[0]


def _close() -> None:
    """Leave the process group, and let the threads of the exchanges drop their last tensors.

    A thread needs Python's lock to drop a tensor; one that asks for it after the interpreter has
    ended aborts the process. References to the group in C++ can keep its threads alive.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
        time.sleep(_LAST_TENSORS)
