"""Checks, before any row is read, that several processes can train a recipe."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

from crosstower.errors import RecipeError
from crosstower.recipe.training import Training

_INSTALL = (
    "pip install 'crosstower[distributed]', then"
    " pip install --no-deps torchrec==1.8.0 fbgemm-gpu-cpu==1.8.0"
)
_WHY = {
    "pcgrad": "compares the gradients of tasks, which no process has for the rows of the others",
    "gradnorm": "needs the norm of each task's gradient, which no process has alone",
}


def check_packages(processes: int) -> None:
    """Reject several processes where a package that they need is missing.

    Raises:
        RecipeError: names the package, and the commands that install it.

    """
    for package in ("torchrec", "fbgemm_gpu") if processes > 1 else ():
        if find_spec(package) is None:
            raise RecipeError(
                f"{processes} processes: needs the package '{package}'; install it with: {_INSTALL}"
            )


def check_processes(settings: Training, processes: int) -> None:
    """Reject options that several processes cannot follow, and a missing package.

    Args:
        settings: the `training` section of a recipe.
        processes: their number; 1 refuses nothing.

    Raises:
        RecipeError: names the option, and the alternative.

    """
    if processes == 1:
        return
    check_packages(processes)
    if settings.task_balance in _WHY:
        raise RecipeError(
            f"training.task_balance: {settings.task_balance} {_WHY[settings.task_balance]}, and"
            f" {processes} processes were started; use static or uncertainty, or one process"
        )
    if settings.tables == "host":
        raise RecipeError(
            f"training.tables: host needs a single process, and {processes} were started, which"
            " divide the tables among their devices; set training.tables=device, or use one"
            " process"
        )
    _check_device(settings.device, processes)


def _check_device(device: str, processes: int) -> None:
    if device.startswith("cuda:"):
        raise RecipeError(
            f"training.device: {device} is one GPU, and {processes} processes were started, each of"
            " which takes the GPU of its place on its machine; set training.device=cuda or cpu"
        )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    if device != "cpu" and torch.cuda.is_available() and torch.cuda.device_count() < here:
        raise RecipeError(
            f"training.device: {device}, but this machine has {torch.cuda.device_count()} GPU(s)"
            f" for {here} processes; start as many processes as GPUs, or set training.device=cpu"
        )
