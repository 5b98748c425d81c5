"""The device of a training, by its name in the recipe."""

from __future__ import annotations

import torch

from crosstower.errors import TrainingError


def pick_device(name: str) -> torch.device:
    """Return the device of a recipe; 'auto' is a GPU where there is one.

    Raises:
        TrainingError: a GPU is asked for that is not there.

    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise TrainingError(
            f"training.device: {name} asked for, but this torch ({torch.__version__}) sees no GPU;"
            " install torch's CUDA build, or set training.device=cpu"
        )
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"training.device: {name} asked for, but torch sees {torch.cuda.device_count()} GPU(s),"
            " counted from cuda:0; choose one of them"
        )
    return device
