"""Checkpoints of several processes: each writes and reads the rows that it holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from crosstower.nn.world import World
from crosstower.storage.files import replacing, sync_folder
from crosstower.training.distributed.shard import blocks, is_embedding, sharded_rows
from crosstower.training.optimizers.fused_tables import FusedTables
from crosstower.training.optimizers.table_optimizer import TableOptimizer
from crosstower.training.weight_average import WeightAverage
from crosstower.training.weight_files import (
    ROWS,
    RowBlock,
    files_of,
    free_names,
    grouped,
    index_of,
    is_by_rows,
    is_stored,
    read_metadata,
    remove_unused,
    same_tensors,
    write_index,
)


def write_together(
    path: Path, tensors: Mapping[str, Tensor | RowBlock], metadata: Mapping[str, str], world: World
) -> None:
    """Store the tensors of a training run; all processes call it, and none has all rows of a table.

    Each process writes a file, then rank 0 an index that names all of them; the files before are
    removed. What ends a process on the way leaves the former ones.

    Args:
        path: of the checkpoint.
        tensors: by name; equal in all processes, or the rows that this one holds.
        metadata: texts to keep with the tensors.
        world: of the training.

    Raises:
        OSError: the disk is full or the folder cannot be written.

    """
    from crosstower.training.sharded_weight_files import write_rows  # noqa: PLC0415 - slow to import

    folder = path.parent / world.first(lambda: free_names(path, 1)[0].replace(".safetensors", ROWS))
    try:
        write_rows(folder, tensors)
        world.first(lambda: _publish(path, folder, metadata))
    finally:
        if world.rank == 0:
            remove_unused(path.parent)


def _publish(path: Path, folder: Path, metadata: Mapping[str, str]) -> None:
    sync_folder(folder)
    names = [f"{folder.name}/{file.name}" for file in sorted(folder.iterdir())]
    write_index(path, metadata, {"row_shards": names})


def read_together(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    average: WeightAverage | None = None,
) -> dict[str, Tensor]:
    """Fill the rows that this process holds, and return all other tensors of a checkpoint.

    States of optimisers with a value per row are returned as well, with the rows of this process.

    Args:
        path: of a checkpoint, by any number of processes.
        model: of the training.
        optimizers: of the training; empty to read only weights.
        average: of the weights, if it is to be read.

    Raises:
        RunError: the checkpoint is missing, damaged, or of another model.

    """
    from crosstower.training.sharded_weight_files import read_rows, read_whole  # noqa: PLC0415

    files, held = files_of(path), blocks(model, optimizers, average)
    states = _new_states(files, model, optimizers, held)
    read_rows(files, held | states)
    left_out = {*held, *states} if optimizers else {*held}
    prefix = "" if optimizers else "model."
    whole = read_whole(files, prefix=prefix, without=left_out)
    return whole | {name: block.rows for name, block in states.items()}


def held_names(model: nn.Module) -> list[str]:
    """Return the names of the parameters whose rows are sharded."""
    return list(sharded_rows(model))


def _new_states(
    files: Sequence[Path],
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    held: Collection[str],
) -> dict[str, RowBlock]:
    """Return empty states with a value per row that a new optimiser does not have so far."""
    from crosstower.training.sharded_weight_files import row_shapes  # noqa: PLC0415

    owners = {id(rows.own): rows for rows in sharded_rows(model).values() if rows.own is not None}
    tables = {
        f"{name}.": owners[id(parameter)]
        for optimizer, names in zip(optimizers, state_names(model, optimizers), strict=True)
        for parameter, name in zip(_parameters(optimizer), names, strict=True)
        if id(parameter) in owners
    }
    found: dict[str, RowBlock] = {}
    for name, (shape, dtype) in row_shapes(files).items():
        rows = next((rows for prefix, rows in tables.items() if name.startswith(prefix)), None)
        if rows is not None and name not in held and shape:
            empty = torch.zeros(len(rows.ids), *shape[1:], dtype=dtype, device=rows.weights.device)
            found[name] = RowBlock(empty, rows.ids.start, rows.total)
    return found


def state_names(model: nn.Module, optimizers: Sequence[Optimizer]) -> list[list[str]]:
    """Return the names of the states of each parameter, as in a checkpoint of one process.

    One process trains all embedding tables by one optimiser, several may need two: one for tables
    that a fused kernel updates, and one for the others.

    Args:
        model: from `shard`.
        optimizers: from `build_optimizers`.

    """
    tables = [rows for name, rows in sharded_rows(model).items() if is_embedding(name)]
    places = {id(rows.own): place for place, rows in enumerate(tables) if rows.own is not None}
    names, numbers = list[list[str]](), dict[str, int]()
    for optimizer in optimizers:
        of_tables = isinstance(optimizer, FusedTables | TableOptimizer)
        role = "tables" if of_tables else type(optimizer).__name__
        number = numbers.setdefault(role, len(numbers))
        found = enumerate(_parameters(optimizer))
        own = [places.get(id(p), place) if of_tables else place for place, p in found]
        names.append([f"optimizer.{number}.{place}" for place in own])
    return names


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def make_ordinary(*paths: Path, limit: int = 0) -> None:
    """Turn checkpoints of several processes into those of one process, without whole tables.

    Args:
        paths: of checkpoints in one folder; ordinary ones stay.
        limit: bytes per file (0: `FILE_BYTES`); a larger tensor has a file of its own.

    Raises:
        OSError: the disk is full or the folder cannot be written.
        RunError: a file is damaged.

    """
    done: dict[tuple[Path, ...], Path] = {}
    for path in paths:
        if is_stored(path) and is_by_rows(path):
            files = tuple(files_of(path))
            if files in done:
                same_tensors(done[files], path)
            else:
                _join(path, limit)
                done[files] = path


def _join(path: Path, limit: int) -> None:
    from crosstower.training.sharded_weight_files import join_rows, sizes_of  # noqa: PLC0415

    files, metadata = files_of(path), read_metadata(path)
    sizes = sizes_of(files)
    groups = grouped(sizes, limit)
    try:
        if len(groups) == 1:
            with replacing(path) as aside:
                join_rows(files, groups[0], aside, metadata)
            index_of(path).unlink()
            return
        places = dict[str, str]()
        for name, group in zip(free_names(path, len(groups)), groups, strict=True):
            with replacing(path.parent / name) as aside:
                join_rows(files, group, aside, {"format": "pt"})
            places |= dict.fromkeys(group, name)
        words = {"total_size": sum(sizes.values()), **metadata}
        write_index(path, words, {"weight_map": places})
    finally:
        remove_unused(path.parent)
