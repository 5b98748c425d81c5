"""The error of a process that waits in vain for another one."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import torch.distributed as dist

from crosstower.errors import TrainingError
from crosstower.nn.world import World
from crosstower.training.distributed.world import ProcessWorld

GRACE = 30.0
"""Seconds in which all processes that wait in vain report it; the others are missing."""

_SIGNS = ("gloo", "nccl", "timed out", "connection")


class LostProcessError(TrainingError):
    """An exchange has failed, as another process has ended or did not arrive in time."""


@contextmanager
def naming_lost(world: World) -> Generator[None]:
    """Return a context in which a failed exchange is an error that names the missing processes.

    Processes whose exchange has failed report it to the store. When the time is over, those that
    have not are missing.

    Args:
        world: of the training.

    Raises:
        LostProcessError: in place of the error of Gloo or NCCL.

    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(world, ProcessWorld) or not _is_exchange(error):
            raise
        raise LostProcessError(_words(world, error)) from error


def _is_exchange(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, dist.DistError) or any(sign in words for sign in _SIGNS)


def _words(world: ProcessWorld, error: RuntimeError) -> str:
    again = "continue with: crosstower fit --resume RUN"
    with suppress(RuntimeError):  # the store ended with its process
        world.store.set(_key(world.rank), "")
    if "timed out" not in str(error).lower():  # a launcher knows which one, and why
        return f"rank {world.rank} lost another process, which ended or was cut off; {again}"
    names = " and ".join(f"rank {rank}" for rank in _missing(world))
    return (
        f"{names} did not come to an exchange within {world.timeout:g} seconds (training.timeout):"
        f" its process hangs, or its machine is overloaded; {again}"
    )


def _missing(world: ProcessWorld) -> list[int]:
    """Return the processes that do not report a failed exchange; one at least is missing."""
    deadline = time.monotonic() + GRACE
    missing = [rank for rank in range(world.size) if rank != world.rank]
    with suppress(RuntimeError):
        while len(missing) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
            missing = [rank for rank in missing if not world.store.check([_key(rank)])]
    return missing


def _key(rank: int) -> str:
    """Return the key under which a process reports a failed exchange."""
    return f"crosstower/waited/{rank}"
