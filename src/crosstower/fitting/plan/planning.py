"""Plan the training of a recipe on several devices."""

from __future__ import annotations

import math
import os
from dataclasses import asdict

from crosstower.data.layout import Layout
from crosstower.errors import RecipeError
from crosstower.fitting.plan.advice import advice_on
from crosstower.fitting.plan.devices import Device
from crosstower.fitting.plan.formulas import (
    Seconds,
    StepWork,
    WeightTable,
    memory_of,
    seconds_of,
    speed_of,
    traffic_of,
)
from crosstower.fitting.plan.result import Plan, PlannedTable
from crosstower.fitting.plan.sizes import sized_layout
from crosstower.fitting.plan.step_work import work_of
from crosstower.losses.registry import retrieval_loss_of
from crosstower.recipe.recipe import Recipe

RESERVED = 0.15
"""Share of a GPU's memory left to CUDA, NCCL and fragmentation, as in TorchRec's planner."""

LIBRARIES = 0.55e9
"""Bytes of a process with torch and TorchRec, before it holds a model (`benchmarks scale`)."""

_MOST_CODES = 2**31


def plan_training(
    recipe: Recipe,
    *,
    device: Device | None,
    devices: int,
    layout: Layout | None = None,
    ids: int | None = None,
    batch_size: int | None = None,
    list_length: int | None = None,
) -> Plan:
    """Return the plan of a recipe's training.

    Args:
        recipe: to train.
        device: GPU; None for processes on this machine's processors.
        devices: N, GPUs or processes.
        layout: of a finished run, whose sizes are known; None for a recipe that was not trained.
        ids: rows of all tables together; None keeps the sizes of the recipe or the run.
        batch_size: rows of a step over all devices; None for that of the recipe.
        list_length: values per list; None for the maximum of each column.

    Raises:
        RecipeError: sizes are not known, a column has more ids than codes, or negatives do not fit
            the loss.

    """
    if recipe.retrieval is not None:
        retrieval_loss_of(recipe.retrieval)
    sized = sized_layout(recipe, layout, ids=ids, list_length=list_length)
    _check_codes(sized)
    work = work_of(recipe, sized, devices=devices)
    batch = batch_size or recipe.training.batch_size_for(10**9)
    memory = asdict(memory_of(work, batch=batch, devices=devices))
    if device is None:
        memory["libraries"] = LIBRARIES
    seconds = _seconds(recipe, work, device, batch=batch, devices=devices)
    available = _available(device, devices)
    plan = Plan(
        device="processor" if device is None else device.name,
        devices=devices,
        nodes=1 if device is None else math.ceil(devices / device.per_node),
        batch_size=batch,
        ids=sum({f.table: f.size for f in (*sized.codes, *sized.lists)}.values()),
        tables=tuple(_planned(t, devices) for t in work.tables),
        memory=memory,
        memory_available=available,
        bytes_per_step=asdict(traffic_of(work, batch=batch, devices=devices)),
        seconds_per_step=None if seconds is None else asdict(seconds),
        rows_per_second=None if seconds is None else speed_of(seconds, batch),
        advice=(),
        source="" if device is None else device.source,
    )
    return plan.model_copy(update={"advice": tuple(advice_on(recipe, work, plan))})


def _seconds(
    recipe: Recipe, work: StepWork, device: Device | None, *, batch: int, devices: int
) -> Seconds | None:
    if device is None:
        return None
    narrow = recipe.training.precision != "float32"
    return seconds_of(work, device, batch=batch, devices=devices, bfloat16=narrow)


def _available(device: Device | None, devices: int) -> float:
    if device is not None:
        return device.memory_gb * 1e9 * (1 - RESERVED)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / devices


def _planned(table: WeightTable, devices: int) -> PlannedTable:
    rows = math.ceil(table.rows / devices)
    return PlannedTable(
        name=table.name,
        rows=table.rows,
        width=table.width,
        lookups=sum(one.per_row for one in table.lookups),
        bytes_per_device=rows * (table.row_bytes + table.state),
    )


def _check_codes(layout: Layout) -> None:
    for field in (*layout.codes, *layout.lists):
        if field.size > _MOST_CODES:
            raise RecipeError(
                f"--ids: column '{field.table}' would have {field.size:,} codes; the most are"
                f" {_MOST_CODES:,}. Set its hash_buckets, or give fewer ids"
            )
