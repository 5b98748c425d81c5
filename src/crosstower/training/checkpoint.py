"""Atomic checkpoints: weights, optimiser states and position in safetensors files."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from crosstower.errors import RunError, TrainingError
from crosstower.nn.world import ALONE, World
from crosstower.training.distributed.checkpoints import (
    held_names,
    read_together,
    state_names,
    write_together,
)
from crosstower.training.distributed.shard import blocks
from crosstower.training.weight_average import WeightAverage
from crosstower.training.weight_files import read_metadata, read_tensors, write_tensors

FORMAT = "2"
"""Format of the position and the optimisers' state; other formats are errors."""


@dataclass
class Position:
    """Position of a training run: all of its state but the tensors.

    `finished` holds under `limits` (epochs, patience); under others the training may continue, or
    be over. `ended` is true if it was stopped manually. `epochs_without_gain` counts evaluations:
    one per epoch, unless `training.evaluate_every` adds some.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_rows: int = 0
    best_value: float | None = None
    best_epoch: int | None = None
    epochs_without_gain: int = 0
    precision: str = "float32"
    reason: str = ""
    finished: bool = False
    ended: bool = False
    limits: tuple[int, int] = (0, 0)
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    position: Position,
    objective: Mapping[str, Tensor] | None = None,
    *,
    average: WeightAverage | None = None,
    world: World = ALONE,
) -> None:
    """Write weights, optimiser and objective states, random states, and the position.

    A crash or a full disk leaves the previous file intact. Tensors are written without a copy, so
    that a large table does not need twice its memory. Each of several processes writes its rows.

    >>> import tempfile
    >>> path, model = Path(tempfile.mkdtemp()) / "last.safetensors", nn.Linear(2, 1)
    >>> save_checkpoint(path, model, [torch.optim.Adam(model.parameters())], Position(epoch=3))
    >>> other = nn.Linear(2, 1)
    >>> position, _ = load_checkpoint(path, other, [torch.optim.Adam(other.parameters())])
    >>> position.epoch, torch.equal(other.weight, model.weight)
    (3, True)

    Args:
        path: of the checkpoint.
        model: its weights.
        optimizers: their states.
        position: progress of the training.
        objective: its state.
        average: of the weights, to be continued.
        world: of the training; all of its processes call this.

    Raises:
        TrainingError: the disk is full or the folder cannot be written.

    """
    tensors = {f"model.{k}": v.detach() for k, v in model.state_dict().items()}
    for optimizer, names in zip(optimizers, _names(model, optimizers, world), strict=True):
        tensors |= _state_tensors(optimizer, names)
    tensors |= _random_state()
    tensors |= {f"objective.{k}": v for k, v in (objective or {}).items()}
    tensors |= average.state() if average is not None else {}
    try:
        if world.size == 1:
            write_tensors(path, tensors, _words(position))
        else:
            shared = {**tensors, **blocks(model, optimizers, average)}
            write_together(path, shared, _words(position), world)
    except (SafetensorError, OSError) as error:
        raise TrainingError(_unwritable(path, error, tensors)) from error


def _words(position: Position) -> dict[str, str]:
    return {"position": json.dumps(asdict(position)), "format": FORMAT}


def _unwritable(path: Path, error: Exception, tensors: Mapping[str, Tensor]) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    size = sum(t.nbytes for t in tensors.values())
    return (
        f"{path}: cannot be written: {reason} ({size / 1e6:.0f} MB);"
        " the previous file is untouched; free some space and resume with:"
        " crosstower fit --resume RUN"
    )


def load_weights(path: Path, model: nn.Module, *, world: World = ALONE) -> None:
    """Load only the weights of a checkpoint into `model`.

    Args:
        path: of the checkpoint.
        model: of the same architecture.
        world: of the training; each of its processes gets its rows.

    Raises:
        RunError: the file is missing, damaged, or of another model.

    """
    alone = world.size == 1
    tensors = read_tensors(path, prefix="model.") if alone else read_together(path, model, ())
    _load_weights(path, tensors, model, held=[] if alone else held_names(model))


def _load_weights(
    path: Path, tensors: Mapping[str, Tensor], model: nn.Module, *, held: Collection[str]
) -> None:
    """Load weights, except `held`: parameters sharded by rows, which are already loaded."""
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    own = model.state_dict()
    weights |= {name: own[name] for name in held if name in own}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{path}: weights of another model: {error}") from error


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    *,
    average: WeightAverage | None = None,
    world: World = ALONE,
) -> tuple[Position, dict[str, Tensor]]:
    """Restore a checkpoint; return the position and the objective's state.

    Args:
        path: of the checkpoint, by any number of processes.
        model: gets the weights.
        optimizers: get their states.
        average: gets its state, or starts afresh if the checkpoint has none.
        world: of the training; each of its processes gets its rows.

    Raises:
        RunError: the file is missing, damaged, or of another model.

    """
    alone, position = world.size == 1, read_position(path)
    tensors = read_tensors(path) if alone else read_together(path, model, optimizers, average)
    _refuse_weights_alone(path, tensors)
    _load_weights(path, tensors, model, held=[] if alone else held_names(model))
    for optimizer, names in zip(optimizers, _names(model, optimizers, world), strict=True):
        _restore(optimizer, tensors, names)
    if average is not None:
        average.restore(tensors)
    torch.set_rng_state(tensors["random"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    kept = {k: v for k, v in tensors.items() if k.startswith("objective.")}
    state = {k.removeprefix("objective."): v for k, v in kept.items()}
    return position, state


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], Position]:
    """Return all tensors of a checkpoint by name, and its position.

    Raises:
        RunError: the file is missing or damaged, or holds only weights.

    """
    tensors, position = read_tensors(path), read_position(path)
    _refuse_weights_alone(path, tensors)
    return tensors, position


def _refuse_weights_alone(path: Path, tensors: Mapping[str, Tensor]) -> None:
    if "random" not in tensors:
        raise RunError(f"{path}: only weights, no checkpoint to continue from; train again")


def read_position(path: Path) -> Position:
    """Return the position of a checkpoint, without reading its tensors.

    Raises:
        RunError: the file is missing, damaged, or of another format.

    """
    metadata = read_metadata(path)
    if "position" not in metadata:
        raise RunError(f"{path}: only weights, no checkpoint to continue from; train again")
    if metadata.get("format") != FORMAT:
        raise RunError(
            f"{path}: a checkpoint of format {metadata.get('format', '1')}, this version of"
            f" crosstower continues from format {FORMAT}; train again"
        )
    position = Position(**json.loads(metadata["position"]))
    position.limits = (position.limits[0], position.limits[1])  # JSON has only lists
    return position


def _random_state() -> dict[str, Tensor]:
    state = {"random": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # dropout on a GPU draws from the GPU's own generator
        state["random.cuda"] = torch.cuda.get_rng_state()
    return state


def _names(model: nn.Module, optimizers: Sequence[Optimizer], world: World) -> list[list[str]]:
    """Return the name of the states of each parameter of each optimiser."""
    if world.size > 1:
        return state_names(model, optimizers)
    counts = [sum(len(group["params"]) for group in o.param_groups) for o in optimizers]
    return [[f"optimizer.{i}.{place}" for place in range(n)] for i, n in enumerate(counts)]


def _state_tensors(optimizer: Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for parameter, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{type(optimizer).__name__} state '{key}' is not a tensor")
            tensors[f"{names[parameter]}.{key}"] = value
    return tensors


def _restore(optimizer: Optimizer, tensors: dict[str, Tensor], names: Sequence[str]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        place, _, key = name.rpartition(".")
        if place in names:
            state.setdefault(names.index(place), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
