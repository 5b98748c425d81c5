"""Models whose tables several processes hold, and whose other parameters each of them has."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from crosstower.errors import TrainingError
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.table_rows import Share, building
from crosstower.nn.trained_pooling import SequencePool
from crosstower.nn.wide import WideLinear
from crosstower.nn.world import World
from crosstower.recipe.training import Training
from crosstower.training.distributed.dropout import ApartDropout, PartDropout
from crosstower.training.distributed.sharded_tables import ALIGNED, Fused, ShardedTableRows
from crosstower.training.distributed.world import ProcessWorld
from crosstower.training.optimizers.fused_tables import FusedTables
from crosstower.training.optimizers.table_optimizer import TableOptimizer
from crosstower.training.weight_average import WeightAverage
from crosstower.training.weight_files import RowBlock

_EPS = 1e-8
_FUSED = ("rowwise_adagrad", "adagrad")


_MADE: list[ShardedTableRows] = []
"""Tables of the model that is being built."""


@contextmanager
def building_in(world: World, settings: Training) -> Generator[None]:
    """Return a context in which tables of new models have only the rows of this process.

    Their values are drawn into TorchRec's memory, so that no table occurs twice.

    Args:
        world: of the training.
        settings: say how tables are trained.

    """
    if not isinstance(world, ProcessWorld):
        yield
        return
    share, fused = Share(world.rank, world.size), fused_optimizer(settings)

    def room(total: int, width: int, embeds: bool) -> Tensor:
        takes = fused if embeds and width % ALIGNED == 0 else None
        random = torch.get_rng_state()  # TorchRec draws weights of its own
        _MADE.append(ShardedTableRows(width, total, share, world.device, takes))
        torch.set_rng_state(random)
        return _MADE[-1].weights

    _MADE.clear()
    with building(share, room):
        yield


def fused_optimizer(settings: Training) -> Fused | None:
    """Return the optimiser that can update tables within the backward pass; None without one.

    Clipping needs the norm of all gradients before an update, and a fused kernel gives none.

    Args:
        settings: the `training` section of a recipe.

    """
    plain = settings.clip_norm is None and settings.embedding_weight_decay == 0.0
    frozen = settings.freeze is not None or any(g.freeze for g in settings.pretrained.values())
    apart = settings.ema_decay is not None  # an average sees the rows before each update
    if settings.embedding_optimizer in _FUSED and plain and not frozen and not apart:
        return Fused(settings.embedding_optimizer, _EPS)
    return None


def shard(model: nn.Module, world: World) -> None:
    """Hand the tables of a model to all processes; nothing changes for one process.

    Args:
        model: the last one built within `building_in`, on the device of the world.
        world: of the training.

    """
    if not isinstance(world, ProcessWorld):
        return
    made = {_memory(rows.block): rows for rows in _MADE}
    for module in list(model.modules()):
        if isinstance(module, EmbeddingStore):
            for name in module.sizes():
                rows = made[_memory(module.tables[name])]
                module.shard(name, rows, rows.own)
        elif isinstance(module, WideLinear) and module.weight is not None:
            rows = made[_memory(module.weight)]
            module.shard(rows, _parameter(rows))
    _MADE.clear()
    _replace_dropout(model, world)


def _memory(table: Tensor) -> int:
    return table.untyped_storage().data_ptr()


def _parameter(rows: ShardedTableRows) -> nn.Parameter:
    if rows.own is None:
        raise TypeError("rows of a fused table are not a parameter")
    return rows.own


def _replace_dropout(model: nn.Module, world: ProcessWorld) -> None:
    packed = {id(m) for p in model.modules() if isinstance(p, SequencePool) for m in p.modules()}
    for module in list(model.modules()):
        kind = ApartDropout if id(module) in packed else PartDropout
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, kind(child.p, world))


def sharded_rows(model: nn.Module) -> dict[str, ShardedTableRows]:
    """Return the sharded tables of a model, by the name of their parameter."""
    found: dict[str, ShardedTableRows] = {}
    for place, module in model.named_modules():
        prefix = f"{place}." if place else ""
        if isinstance(module, EmbeddingStore):
            for name, rows in module.sharded.items():
                if isinstance(rows, ShardedTableRows):
                    found[f"{prefix}tables.{name}"] = rows
        elif isinstance(module, WideLinear) and isinstance(module.sharded, ShardedTableRows):
            found[f"{prefix}weight"] = module.sharded
    return found


def _refuse_sparse(model: nn.Module) -> None:
    held = {id(rows.own) for rows in sharded_rows(model).values()}
    for name, parameter in model.named_parameters():
        grad = parameter.grad
        if grad is not None and grad.is_sparse and id(parameter) not in held:
            raise TrainingError(
                f"{type(model).__name__}.{name}: has sparse gradients, which several processes"
                " cannot sum; use crosstower.nn.EmbeddingStore, whose tables they divide, or"
                " dense gradients (sparse=False)"
            )


def combine_gradients(model: nn.Module, world: World) -> None:
    """Sum the gradients of all processes, after each has computed those of its part of the loss.

    Args:
        model: from `shard`.
        world: of the training.

    """
    if not isinstance(world, ProcessWorld):
        return
    tables = sharded_rows(model).values()
    for rows in tables:
        rows.collect()
    held = {id(rows.own) for rows in tables}
    dense = [p for p in model.parameters() if p.requires_grad and id(p) not in held]
    if not dense:
        return
    _refuse_sparse(model)
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in dense]
    flat = world.sum(torch.cat([part.flatten().float() for part in parts]))
    sums = flat.split([p.numel() for p in dense])
    for parameter, values in zip(dense, sums, strict=True):
        if parameter.grad is not None:
            parameter.grad.copy_(values.view_as(parameter))


def blocks(
    model: nn.Module, optimizers: Sequence[Optimizer], average: WeightAverage | None = None
) -> dict[str, RowBlock]:
    """Return the rows that this process holds of weights, states and averages, by their names.

    The names are those of a checkpoint of one process, and the tensors are those in use. An
    optimiser's state that does not exist yet is missing.

    Args:
        model: from `shard`.
        optimizers: from `build_optimizers`.
        average: of the weights, if there is one.

    """
    tables = sharded_rows(model)
    found = {f"model.{name}": _block(rows.weights, rows) for name, rows in tables.items()}
    if average is not None:
        for name, rows in tables.items():
            found |= {key: _block(value, rows) for key, value in average.of(name).items()}
    kinds = FusedTables, TableOptimizer
    first = next((i for i, o in enumerate(optimizers) if isinstance(o, kinds)), 0)
    embeddings = [rows for name, rows in tables.items() if is_embedding(name)]
    places = {id(rows): place for place, rows in enumerate(embeddings)}
    for number, optimizer in enumerate(optimizers):
        for place, key, value, rows in _states(optimizer, tables.values()):
            at = (first, places[id(rows)]) if id(rows) in places else (number, place)
            found[f"optimizer.{at[0]}.{at[1]}.{key}"] = _block(value, rows)
    return found


def is_embedding(name: str) -> bool:
    """Return whether a parameter of `sharded_rows` is a table of embeddings."""
    return name.split(".")[-2:-1] == ["tables"]


def _states(
    optimizer: Optimizer, tables: Collection[ShardedTableRows]
) -> Iterator[tuple[int, str, Tensor, ShardedTableRows]]:
    """Yield the place, the key, the tensor and the table of each state with a value per row."""
    if isinstance(optimizer, FusedTables):
        for place, rows in enumerate(optimizer.tables):
            if isinstance(rows, ShardedTableRows):
                yield place, "sum", rows.state(), rows
        return
    owners = {id(rows.own): rows for rows in tables if rows.own is not None}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for place, parameter in enumerate(parameters):
        if (rows := owners.get(id(parameter))) is not None:
            for key, value in optimizer.state.get(parameter, {}).items():
                if value.dim():
                    yield place, key, value, rows


def _block(tensor: Tensor, rows: ShardedTableRows) -> RowBlock:
    return RowBlock(tensor, rows.ids.start, rows.total)
