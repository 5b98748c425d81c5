"""One process of `python -m benchmarks scale`: the trainer of a recipe, measured step by step."""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.layout import Layout
from crosstower.fitting.plan.sizes import sized_layout
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.task_balance import StaticBalance
from crosstower.models.registry import build
from crosstower.nn.world import World
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.checkpoint import Position
from crosstower.training.distributed.shard import building_in, shard
from crosstower.training.distributed.world import open_world
from crosstower.training.optimizers import build_optimizers
from crosstower.training.trainer import Trainer
from crosstower.training.weight_average import WeightAverage

WARM_UP, COUNTED = 2, 3
CPU = torch.device("cpu")


class SentBytes(TorchDispatchMode):
    """Counts the bytes that a process sends by collectives while it is active.

    Args:
        rank: of this process.
        size: number of processes.

    """

    def __init__(self, rank: int, size: int) -> None:
        super().__init__()
        self.rank, self.size, self.by_name = rank, size, dict[str, float]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        if func.namespace == "c10d":
            name = func._schema.name.removeprefix("c10d::")
            self.by_name[name] = self.by_name.get(name, 0.0) + self._sent(name, args)
        return func(*args, **(kwargs or {}))

    def _sent(self, name: str, args: tuple[Any, ...]) -> float:
        others = (self.size - 1) / self.size
        match name:
            case "allreduce_":
                return 2 * others * sum(t.nbytes for t in args[0])
            case "alltoall_base_":
                data, splits = args[1], args[4]
                whole = data.nbytes
                own = whole * splits[self.rank] / sum(splits) if sum(splits or []) else 0.0
                return whole - own if splits else whole * others
            case "alltoall_":
                return sum(t.nbytes for place, t in enumerate(args[1]) if place != self.rank)
            case "allgather_" | "_allgather_base_":
                data = args[1]
                data = data if isinstance(data, torch.Tensor) else data[0]
                return (self.size - 1) * data.nbytes
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = open_world(CPU)
    if world.size > 1:
        import torchrec  # noqa: F401 - before memory is measured
    libraries = peak_mb()
    recipe = load_recipe(options.recipe)
    layout = sized_layout(recipe, None, ids=None, list_length=None)
    size = recipe.training.batch_size or 0
    rows = EncodedRows(options.out / f"rows-{world.rank}", 2**30)
    rows.add(uniform_rows(layout, options.steps * size, seed=options.seed))
    stream = Batches(rows, size, seed=options.seed, rank=world.rank, processes=world.size)
    found = measured(trainer_of(recipe, layout, stream, world), stream, world)
    found |= {"libraries_mb": libraries, "peak_mb": peak_mb()}
    (options.out / f"{world.rank}.json").write_text(json.dumps(found))
    world.largest(0)  # wait: the end


def uniform_rows(layout: Layout, rows: int, *, seed: int) -> Batch:
    """Return rows of uniform ids, normal numbers, and labels (30 % are 1)."""
    random = torch.Generator().manual_seed(seed)
    codes = torch.stack(
        [
            torch.randint(3, field.size, (rows,), generator=random, dtype=torch.int32)
            for field in layout.codes
        ],
        dim=1,
    )
    numbers = torch.randn(rows, len(layout.numbers), generator=random)
    labels = (torch.rand(rows, len(layout.heads), generator=random) < 0.3).float()
    return Batch(codes, numbers, {}, labels)


def trainer_of(recipe: Recipe, layout: Layout, stream: Batches, world: World) -> Trainer:
    settings = recipe.training
    torch.manual_seed(settings.seed)
    with building_in(world, settings):
        model = build(layout, recipe.model)
    shard(model, world)
    trainer = Trainer(
        model=model,
        objective=PointwiseObjective(layout, StaticBalance([1.0]), world=world),
        settings=settings,
        batches=stream,
        validate=None,
        monitor="",
        higher_is_better=True,
        folder=Path(),
        observer=None,  # type: ignore[arg-type]
        device=CPU,
        world=world,
    )
    trainer.optimizers, trainer.steps = build_optimizers(model, settings), len(stream)
    if settings.ema_decay is not None:
        trainer.average = WeightAverage(model, settings.ema_decay)
    return trainer


def measured(trainer: Trainer, stream: Batches, world: World) -> dict[str, Any]:
    """Return the seconds of the last steps, and the sent bytes of one; the first ones warm up."""
    position, counter = Position(), SentBytes(world.rank, world.size)
    trainer.model.train()
    batches, counted = stream.epoch(), 0
    for batch, _ in zip(batches, range(WARM_UP), strict=False):
        trainer._step(batch, position)
    for batch, _ in zip(batches, range(COUNTED), strict=False):
        with counter:
            trainer._step(batch, position)
        counted += 1
    seconds = [seconds_of(lambda b=batch: trainer._step(b, position)) for batch in batches]
    return {
        "seconds": seconds,
        "resident_mb": held_mb("VmRSS"),
        "anonymous_mb": held_mb("RssAnon"),
        "bytes_per_step": sum(counter.by_name.values()) / counted,
        "collectives": counter.by_name,
    }


def seconds_of(step: Callable[[], Any]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def held_mb(kind: str) -> float:
    """Return memory of this process now: VmRSS, or RssAnon without libraries (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{kind}:")]
    return int(line.split()[1]) * 1024 / 1e6


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
