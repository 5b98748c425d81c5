"""Device and precision of training: bfloat16 where it is faster.

The choice must be the same at every start, or the same seed gives other weights. So nothing is
timed: the processor has instructions for bfloat16 products or has none, and the work of a step is
counted and compared with a recorded number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from crosstower.errors import TrainingError
from crosstower.nn.world import ALONE, World

LEAST_WORK = 40_000_000
"""Operations of the matrix products of a step, forward, from which bfloat16 pays.

`python -m benchmarks precision` prints the gain by work. On an AMD EPYC with AVX512_BF16, one
thread: 1.06 times as fast at 13 million operations, 1.21 at 42 million, 3.1 at 128 million.
"""


def pick_device(name: str) -> torch.device:
    """Return the device of a recipe; 'auto' is a GPU if there is one.

    Of the processes that `torchrun` starts on a machine, each has a GPU of its own.

    Args:
        name: `training.device`: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        TrainingError: the GPU does not exist.

    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError(
            f"training.device: {name} given, but this torch ({torch.__version__}) sees no GPU;"
            " install torch's CUDA build, or set training.device=cpu"
        )
    own = os.environ.get("LOCAL_RANK") if name == "cuda" else None
    device = torch.device(name if own is None else f"cuda:{own}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"training.device: {device} given, but torch sees {torch.cuda.device_count()} GPU(s),"
            " counted from cuda:0; choose one of them"
        )
    return device


@dataclass(frozen=True)
class Choice:
    """A precision, 'bfloat16' or 'float32', and why it was chosen."""

    precision: str
    reason: str


def choose_precision(
    model: nn.Module,
    batch: Any,
    loss: Callable[[nn.Module, Any], Tensor],
    device: torch.device,
    *,
    world: World = ALONE,
) -> Choice:
    """Return the precision for training: the same for the same model on the same processor.

    Args:
        model: on `device`.
        batch: any batch of the training.
        loss: of the model on a batch.
        device: computes the dense part.
        world: whose processes each have a part of the batch.

    """
    instructions = bfloat16_instructions(device)
    if instructions is None:
        where = "GPU" if device.type == "cuda" else "processor"
        return Choice("float32", f"torch finds no bfloat16 products of the {where} itself")
    work = int(world.sum(torch.tensor(work_of(model, batch, loss))))
    return Choice(
        "bfloat16" if work >= LEAST_WORK else "float32",
        f"{instructions}, {work / 1e6:,.1f} million operations per step; bfloat16 pays from"
        f" {LEAST_WORK / 1e6:,.0f} million",
    )


def bfloat16_instructions(device: torch.device) -> str | None:
    """Return the name of the instructions that multiply bfloat16, None if it would be emulated."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16 of the GPU" if native else None
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch does not say
        return None
    has = torch.cpu.get_capabilities()
    for name in ("amx_bf16", "avx512_bf16"):
        if has.get(name):
            return name.upper()
    # torch calls any AVX-512 able, which emulates it; what other processors say holds.
    native = has.get("architecture") != "x86_64" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "BF16" if native else None


def work_of(model: nn.Module, batch: Any, loss: Callable[[nn.Module, Any], Tensor]) -> int:
    """Return the operations of the matrix products of a batch in the forward pass of the loss.

    Neither weights nor gradients nor random numbers change; what `loss` keeps is the caller's.
    """
    random = torch.get_rng_state()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        loss(model, batch)
    torch.set_rng_state(random)
    return counter.get_total_flops()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which the dense part runs in `precision`."""
    enabled = precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
