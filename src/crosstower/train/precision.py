"""Choose bfloat16 for the dense part only where a measurement says that it pays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MIN_GAIN = 1.2
_REPEATS, _LEAST, _SECONDS = 10, 3, 1.0


def choose_precision(
    model: nn.Module, batch: Any, loss: Callable[[nn.Module, Any], Tensor], device: torch.device
) -> tuple[str, float]:
    """Return 'bfloat16' or 'float32', and how much faster bfloat16 was (1.0 if not tried).

    bfloat16 must be at least `MIN_GAIN` times faster; hardware without it is not tried.
    """
    if not _has_bfloat16(device):
        return "float32", 1.0
    random = torch.get_rng_state()
    seconds = {"float32": float("inf"), "bfloat16": float("inf")}
    start = time.perf_counter()
    for turn in range(_REPEATS):  # in turn, so that both see the same machine; the best one counts
        if turn >= _LEAST and time.perf_counter() - start > _SECONDS:
            break
        for precision, best in seconds.items():
            seconds[precision] = min(best, _time(model, batch, loss, precision, device))
    torch.set_rng_state(random)
    gain = seconds["float32"] / seconds["bfloat16"]
    return ("bfloat16" if gain >= MIN_GAIN else "float32"), gain


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _time(
    model: nn.Module,
    batch: Any,
    loss: Callable[[nn.Module, Any], Tensor],
    precision: str,
    device: torch.device,
) -> float:
    """Return the seconds of one step without its update."""
    start = time.perf_counter()
    with autocast(device, precision):
        value = loss(model, batch)
    value.backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - start


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which the dense part runs in `precision`."""
    enabled = precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
