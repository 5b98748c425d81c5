"""The build of torch: its devices, and whether bfloat16 pays here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crosstower.cli.doctor.finding import CheckResult

if TYPE_CHECKING:
    from torch import Tensor

_SIDE, _TRIES = 1024, 5


def check_torch() -> Iterator[CheckResult]:
    """Yield the build, the GPUs and the speed of bfloat16; a torch that fails is a problem."""
    try:
        import torch
    except (ImportError, OSError) as error:
        remedy = "pip install --force-reinstall torch"
        yield CheckResult("torch", "problem", f"cannot be imported: {error}", remedy)
        return
    cuda = torch.version.cuda
    words = f"{torch.__version__}, {f'CUDA {cuda}' if cuda else 'CPU build'}"
    yield CheckResult("torch", "ok", f"{words}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            words = f"{facts.name}, {facts.total_memory / 1e9:.0f} GB"
            yield CheckResult(f"cuda:{number}", "ok", words)
    elif cuda:
        remedy = "install a driver for this version, or ignore it and train on processors"
        yield CheckResult("cuda", "note", "this build of torch finds no GPU", remedy)
    yield _bfloat16()


def _bfloat16() -> CheckResult:
    import torch

    from crosstower.training.devices import bfloat16_instructions

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    instructions = bfloat16_instructions(device)
    if instructions is None:
        return CheckResult("bfloat16", "ok", "no native instructions; training uses float32")
    wide, narrow = (
        _seconds(torch.ones(_SIDE, _SIDE, dtype=dtype, device=device))
        for dtype in (torch.float32, torch.bfloat16)
    )
    words = f"{instructions}; large products are {wide / narrow:.1f} times as fast as in float32"
    return CheckResult("bfloat16", "ok", words)


def _seconds(matrix: Tensor) -> float:
    """Return the least seconds of some products of a matrix with itself, after one to warm up."""
    found = list[float]()
    for _ in range(_TRIES + 1):
        begin = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # waits for a GPU, too
        found.append(time.perf_counter() - begin)
    return min(found[1:])
