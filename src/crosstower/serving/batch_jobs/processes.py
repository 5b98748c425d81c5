"""Workers in processes of their own; one that is killed is replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from crosstower.errors import CrosstowerError, RunError
from crosstower.serving.batch_jobs.output import OutputFolder
from crosstower.serving.batch_jobs.part_files import PartFacts
from crosstower.serving.batch_jobs.partitions import Partition
from crosstower.serving.batch_jobs.work import BatchWork, write_part

ATTEMPTS = 3
"""Workers that a partition may lose before the job stops."""

Event = int | tuple[int, PartFacts]
"""Rows read, or the number of a finished partition and its facts."""

OnEvent = Callable[[Event], None]


def in_this_process(
    work: BatchWork, output: OutputFolder, partitions: Sequence[Partition], on_event: OnEvent
) -> None:
    """Do all partitions in turn.

    Args:
        work: to do.
        output: folder of the parts.
        partitions: to work on.
        on_event: called with events of the job.

    Raises:
        CrosstowerError: a partition cannot be done; names it.

    """
    if not partitions:
        return
    worker = work.open()
    for partition in partitions:
        on_event((partition.number, write_part(worker, output, partition, on_event)))


@dataclass
class _Hand:
    """A worker process, and the partition that it works on."""

    process: BaseProcess
    pipe: Connection
    partition: Partition | None = None


def in_processes(
    work: BatchWork,
    output: OutputFolder,
    partitions: Sequence[Partition],
    on_event: OnEvent,
    *,
    processes: int,
) -> None:
    """Do all partitions in several processes.

    A partition whose worker dies is done again, whole, by a new worker.

    Args:
        work: to do.
        output: folder of the parts.
        partitions: to work on.
        on_event: called with events of the job.
        processes: number of workers.

    Raises:
        CrosstowerError: a partition cannot be done, or has lost several workers; names it.

    """
    todo, losses = deque(partitions), dict[int, int]()
    hands: list[_Hand] = []
    try:
        with _start_of_workers(processes):
            hands += [_hire(work, output) for _ in range(min(processes, len(todo)))]
        while hands:
            for hand in [hand for hand in hands if hand.partition is None]:
                if not _assign(hand, todo):
                    hands.remove(hand)
            ready = wait([hand.pipe for hand in hands]) if hands else []
            for hand in [hand for hand in hands if hand.pipe in ready]:
                event = _received(hand)
                if event is not None:
                    on_event(event)
                    continue
                lost = hand.partition
                _dismiss([hand])
                hands.remove(hand)
                if lost is not None:
                    _count_loss(lost, losses, hand.process.exitcode)
                    todo.appendleft(lost)
                with _start_of_workers(processes):
                    hands.append(_hire(work, output))
    finally:
        _dismiss(hands)


def _hire(work: BatchWork, output: OutputFolder) -> _Hand:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(work, output, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Hand(process, ours)


def _assign(hand: _Hand, todo: deque[Partition]) -> bool:
    """Give a worker its next partition, or let it go; a dead one is noticed when it is asked."""
    with suppress(OSError):
        hand.pipe.send(todo[0] if todo else None)
    if todo:
        hand.partition = todo.popleft()
        return True
    hand.process.join()
    hand.pipe.close()
    return False


def _received(hand: _Hand) -> Event | None:
    """Return the next event of a worker, None if it has died; raise its error."""
    try:
        event: Any = hand.pipe.recv()
    except (EOFError, OSError):
        hand.process.join()
        return None
    if isinstance(event, Exception):
        raise event
    if not isinstance(event, int):
        hand.partition = None
    return event


def _count_loss(partition: Partition, losses: dict[int, int], code: int | None) -> None:
    losses[partition.number] = losses.get(partition.number, 0) + 1
    if losses[partition.number] >= ATTEMPTS:
        reason = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        raise RunError(
            f"partition {partition.number} ({partition.name}): its worker has died {ATTEMPTS} times"
            f" ({reason}; 9 often means that memory was short); finished parts are kept: run the"
            " same command again with fewer --processes, or free memory"
        )


def _dismiss(hands: Sequence[_Hand]) -> None:
    for hand in hands:
        hand.process.terminate()
    for hand in hands:
        hand.process.join()
        hand.pipe.close()


def _work(work: BatchWork, output: OutputFolder, pipe: Connection) -> None:
    """Do partitions until there are none; runs in a process of its own."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(BrokenPipeError):
        try:
            worker = work.open()
            while (partition := pipe.recv()) is not None:
                facts = write_part(worker, output, partition, pipe.send)
                pipe.send((partition.number, facts))
        except EOFError:
            pass
        except CrosstowerError as error:
            pipe.send(error)
        except Exception:
            pipe.send(RuntimeError(traceback.format_exc()))


def _end_with_parent() -> None:
    """End this process as soon as its parent has died, also by a signal."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _start_of_workers(processes: int) -> Generator[None]:
    """Let workers that are started in this block share the processors, and leave Ctrl-C to us."""
    share = str(max(1, (os.cpu_count() or 1) // processes))
    names = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: share for name in names if before[name] is None})
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None  # inherited
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
        for name in names:
            if before[name] is None:
                os.environ.pop(name, None)
