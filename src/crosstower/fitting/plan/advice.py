"""Advice on a planned training run: tables to shard, its bottleneck, changes if it does not fit."""

from __future__ import annotations

from collections.abc import Iterator

from crosstower.fitting.plan.formulas import StepWork, fewest_devices
from crosstower.fitting.plan.result import Plan
from crosstower.fitting.plan.step_work import is_fused, state_of
from crosstower.recipe.kinds.coded import coded_columns
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.training import Training

_LARGE = 100_000_000
_WORTH = 10_000_000  # bytes of a device: less needs no advice
_REMEDY = {
    "compute": "matrix products take most of a step: training.precision: bfloat16, a smaller rank"
    " or narrower layers are faster",
    "memory": "moving embedding rows takes most of a step: a smaller embedding_dim or shorter lists"
    " are faster",
    "network": "exchanging bytes takes most of a step: fewer nodes, a smaller embedding_dim or"
    " shorter lists are faster",
    "overhead": "the fixed part of a step is the largest: a larger training.batch_size gives more"
    " rows/s",
}


def advice_on(recipe: Recipe, work: StepWork, plan: Plan) -> Iterator[str]:
    """Yield sentences: whether the plan fits, tables to shard, changes to make.

    Args:
        recipe: of the training.
        work: of its model.
        plan: its numbers.

    """
    yield from _fit(work, plan)
    yield _sharding(work, plan)
    yield from _optimizer(recipe.training, work, plan)
    if plan.seconds_per_step is not None:
        yield _REMEDY[max(plan.seconds_per_step, key=plan.seconds_per_step.__getitem__)]
    yield from _vocabularies(recipe, work)


def _fit(work: StepWork, plan: Plan) -> Iterator[str]:
    needed, available = plan.memory_needed, plan.memory_available
    if needed <= available:
        yield f"fits: {needed / available:.0%} of the usable memory of each device"
        return
    yield f"does not fit: {needed / 1e9:,.1f} GB of {available / 1e9:,.1f} GB per device"
    other = plan.memory.get("libraries", 0.0)
    enough = fewest_devices(work, available - other, batch=plan.batch_size)
    if enough is None:
        yield (
            "no number of devices up to 4,096 is enough: a smaller batch_size, embedding_dim or"
            " rowwise_adagrad needs less"
        )
    elif enough > plan.devices:
        yield f"{enough} such devices hold it"


def _sharding(work: StepWork, plan: Plan) -> str:
    whole = sum(t.rows * (t.row_bytes + t.state) for t in work.tables)
    if not work.tables:
        return "no embedding tables: nothing to shard, every device has the whole model"
    if plan.devices == 1:
        return f"one device holds all tables, {whole / 1e9:,.2f} GB with their optimiser state"
    words = (
        f"tables are sharded by row, {whole / plan.devices / 1e9:,.2f} GB on each device; dense"
        " layers are replicated"
    )
    if whole < 0.5 * plan.memory_available:
        words += "; one device could hold all tables, so more devices only add speed"
    return words


def _optimizer(settings: Training, work: StepWork, plan: Plan) -> Iterator[str]:
    if settings.embedding_optimizer == "lazy_adam" and work.tables:
        rowwise = settings.model_copy(update={"embedding_optimizer": "rowwise_adagrad"})
        saved = sum(
            t.rows * (t.state - state_of(rowwise, t.width)) for t in work.tables if t.width > 1
        )
        saved /= plan.devices
        if saved >= _WORTH:
            yield (
                "embedding_optimizer: rowwise_adagrad instead of lazy_adam saves"
                f" {saved / 1e9:,.2f} GB of state on each device"
            )
    if plan.devices > 1 and not is_fused(settings) and work.tables:
        yield (
            "clip_norm: null, no embedding_weight_decay, and rowwise_adagrad or adagrad let FBGEMM"
            " update tables: half the exchanged bytes, and half the memory of the tables"
        )


def _vocabularies(recipe: Recipe, work: StepWork) -> Iterator[str]:
    learned = [
        name
        for name, column in coded_columns(recipe.schema_.columns).items()
        if column.table is None and column.hash_buckets is None and column.vocabulary is None
    ]
    largest = max((one.rows for t in work.tables for one in t.lookups), default=0)
    if learned and largest >= _LARGE:
        yield (
            f"a vocabulary of {largest:,} ids is kept in the memory of every process: set"
            f" hash_buckets on {', '.join(learned)}"
        )
