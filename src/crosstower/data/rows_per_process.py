"""The parts of a batch that several processes compute."""

from __future__ import annotations


def part_of(total: int, rank: int, size: int) -> slice:
    """Return the rows of one process among `total` rows; parts differ by one row at most.

    >>> [part_of(5, rank, 2) for rank in range(2)]
    [slice(0, 2, None), slice(2, 5, None)]

    Args:
        total: rows of all processes.
        rank: number of the process, from 0.
        size: number of processes.

    """
    return slice(rank * total // size, (rank + 1) * total // size)


def filled_part_of(total: int, rank: int, size: int) -> tuple[slice, bool]:
    """Return a part with at least one row, and whether that row only fills an empty part.

    Every process takes part in every step, so one without rows takes the first row without weight.

    >>> filled_part_of(1, 0, 2), filled_part_of(1, 1, 2)
    ((slice(0, 1, None), True), (slice(0, 1, None), False))

    Args:
        total: rows of all processes, at least 1.
        rank: number of the process, from 0.
        size: number of processes.

    """
    part = part_of(total, rank, size)
    return (part, False) if part.start < part.stop else (slice(0, 1), True)
