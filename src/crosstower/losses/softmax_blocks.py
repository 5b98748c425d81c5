"""Number of queries whose scores a softmax computes at a time."""

from __future__ import annotations

import torch

_BLOCK, _SMALLEST, _SCORES = 512, 32, 1 << 21


def block_rows(candidates: int, device: torch.device) -> int:
    """Return the number of queries whose scores are computed at a time, at least 32.

    On a CPU these are about 2 million scores, 8 MB: the allocator keeps such a block for the next
    step, whereas each larger one is new memory, whose pages cost more than the products.

    >>> block_rows(12_000, torch.device("cpu")), block_rows(12_000, torch.device("cuda"))
    (174, 512)

    Args:
        candidates: of each query.
        device: that computes the scores.

    """
    if device.type != "cpu":
        return _BLOCK
    return min(max(_SCORES // max(candidates, 1), _SMALLEST), _BLOCK)
