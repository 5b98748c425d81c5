"""Work of a step, measured on the recipe's model with small tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.fitting.plan.formulas import FLOAT, Lookups, StepWork, WeightTable
from crosstower.models.registry import build
from crosstower.models.two_tower import TwoTower
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.training import Training
from crosstower.training.distributed.shard import fused_optimizer
from crosstower.training.distributed.sharded_tables import ALIGNED

_ROWS, _CODES = 64, 8  # of the batch that is measured, and of each of its tables
_STEP = 4  # bytes of the number of a row's last step


def work_of(recipe: Recipe, layout: Layout, *, devices: int) -> StepWork:
    """Return the work of a step of the recipe's model.

    Its dense layers are built and run forward once, over tables with a few rows.

    Args:
        recipe: model and training.
        layout: with the full sizes of all tables.
        devices: that hold the tables together.

    Raises:
        RecipeError: an unknown model or option.

    """
    small = _small(layout)
    model = build(small, recipe.model, recipe.bias)
    tables = tuple(_tables(model, layout, recipe.training, devices=devices))
    held = {id(p) for m in model.modules() for p in _table_parameters(m)}
    dense = sum(p.numel() for p in model.parameters() if id(p) not in held)
    operations, activations = _measured(model, _random_batch(small))
    retrieves = recipe.retrieval is not None and recipe.retrieval.negatives.in_batch
    return StepWork(
        tables=tables,
        dense_parameters=dense,
        dense_states=_dense_states(recipe.training),
        operations=operations,
        activations=activations,
        heads=max(len(layout.heads), 1),
        compared=model.dim if retrieves and isinstance(model, TwoTower) else 0,
    )


def _dense_states(settings: Training) -> int:
    moments = 2 if settings.optimizer == "adamw" else 1
    return moments + (settings.ema_decay is not None)


def state_of(settings: Training, width: int) -> int:
    """Return the bytes of optimiser state and average per row of an embedding table.

    >>> state_of(Training(ema_decay=0.99), 16) - state_of(Training(), 16)
    68
    >>> [state_of(Training(embedding_optimizer=name), 16)
    ...  for name in ("rowwise_adagrad", "adagrad", "lazy_adam")]
    [4, 64, 132]

    Args:
        settings: the optimiser of embeddings, and whether weights are averaged.
        width: D.

    """
    values = {"rowwise_adagrad": 1, "adagrad": width, "lazy_adam": 2 * width}
    name = settings.embedding_optimizer
    counts = name == "lazy_adam" or settings.embedding_weight_decay > 0
    return values[name] * FLOAT + (_STEP if counts else 0) + _average(settings, width)


def _average(settings: Training, width: int) -> int:
    """Return the bytes of a row's average and of the number of its last step."""
    return width * FLOAT + _STEP if settings.ema_decay is not None else 0


def is_fused(settings: Training) -> bool:
    """Return whether the kernels of FBGEMM update tables, which need no gradient of their own.

    >>> is_fused(Training(embedding_optimizer="adagrad", clip_norm=None)), is_fused(Training())
    (True, False)

    Args:
        settings: optimiser of embeddings and clipping.

    """
    return fused_optimizer(settings) is not None


def _small(layout: Layout) -> Layout:
    codes = tuple(replace(f, size=min(f.size, _CODES)) for f in layout.codes)
    lists = tuple(replace(f, size=min(f.size, _CODES)) for f in layout.lists)
    return replace(layout, codes=codes, lists=lists)


def _random_batch(layout: Layout) -> Batch:
    random = torch.Generator().manual_seed(0)

    def codes(*shape: int, size: int) -> Tensor:
        return torch.randint(min(3, size - 1), size, shape, generator=random, dtype=torch.int32)

    lists = {f.name: codes(_ROWS, f.length, size=f.size) for f in layout.lists}
    for field in layout.lists:
        if field.ages is not None:
            lists[field.ages] = torch.zeros(_ROWS, field.length, dtype=torch.int64)
    single = [codes(_ROWS, size=field.size) for field in layout.codes]
    return Batch(
        codes=torch.stack(single, 1) if single else torch.zeros(_ROWS, 0, dtype=torch.int32),
        numbers=torch.randn(_ROWS, len(layout.numbers), generator=random),
        lists=dict(lists),
        labels=torch.zeros(_ROWS, len(layout.heads)),
    )


def _measured(model: nn.Module, batch: Batch) -> tuple[float, float]:
    """Return operations and bytes of activations per row, in a forward pass."""
    kept = {p.untyped_storage().data_ptr() for p in model.parameters()}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in kept:
            sizes[place] = tensor.untyped_storage().nbytes()
        return tensor

    model.train()
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(pack, lambda t: t):
        held = _outputs(model, batch)
    del held
    return counter.get_total_flops() / _ROWS, sum(sizes.values()) / _ROWS


def _outputs(model: nn.Module, batch: Batch) -> list[Tensor]:
    if isinstance(model, TwoTower) and not model.layout.heads:
        return [model.queries(batch), model.items(batch)]
    return list(model(batch).values())


def _table_parameters(module: nn.Module) -> list[nn.Parameter]:
    if isinstance(module, EmbeddingStore):
        return list(module.tables.values())
    if isinstance(module, WideLinear) and module.weight is not None:
        return [module.weight]
    return []


def _tables(
    model: nn.Module, layout: Layout, settings: Training, *, devices: int
) -> Iterator[WeightTable]:
    single = {f.name: (f, 1) for f in layout.codes}
    fields = single | {f.name: (f, f.length) for f in layout.lists}
    for place, module in model.named_modules():
        prefix = f"{place}." if place else ""
        if isinstance(module, EmbeddingStore):
            fused = is_fused(settings)
            for width in dict.fromkeys(module.width(name) for name in module.names):
                used = [fields[n] for n in module.names if module.width(n) == width]
                lookups = _joined([(f.table, f.size, times) for f, times in used])
                rows = sum(one.rows for one in lookups)
                state = state_of(settings, width)
                columns = _columns(width, devices=devices, fused=fused)
                yield WeightTable(f"{prefix}tables.{width}", rows, width, columns, state, lookups)
        elif isinstance(module, WideLinear) and module.weight is not None:
            lookups = tuple(_wide_lookups(module, layout))
            width, rows = len(layout.heads), sum(one.rows for one in lookups)
            columns = _columns(width, devices=devices, fused=False)
            state = 2 * width * FLOAT + _average(settings, width)
            yield WeightTable(f"{prefix}weight", rows, width, columns, state, lookups)


def _columns(width: int, *, devices: int, fused: bool) -> int:
    """Return the values per row of a table, as `ShardedTableRows` lays them out."""
    if devices == 1:
        return width
    columns = width if fused and width % ALIGNED == 0 else 2 * width
    return columns + -columns % ALIGNED


def _joined(fields: list[tuple[str, int, int]]) -> tuple[Lookups, ...]:
    """Return the look-ups by table: fields that share one share its rows."""
    sizes = {table: size for table, size, _ in fields}
    times = {table: sum(n for t, _, n in fields if t == table) for table in sizes}
    return tuple(Lookups(sizes[table], times[table]) for table in sizes)


def _wide_lookups(wide: WideLinear, layout: Layout) -> Iterator[Lookups]:
    """Yield the look-ups of a wide side, in which every field has rows of its own."""
    for place in wide.reads:
        yield Lookups(layout.codes[place].size, 1)
    (rows,) = wide.code_rows().values()
    lists = iter(layout.lists)
    for block in rows[len(wide.reads) :]:
        field = next(f for f in lists if f.table == block.table)
        yield Lookups(field.size, field.length)
