"""One process of `python -m benchmarks scale`: a `fit` that is measured and stopped early."""

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from crosstower.fitting.fit import fit
from crosstower.training.trainer import Trainer

WARM_UP = 3


class EnoughError(Exception):
    """The steps are done."""


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
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        import torchrec  # noqa: F401 - before memory is measured
    found: dict[str, Any] = {"libraries_mb": peak_mb()}
    watch(found, options.steps, SentBytes(rank, size))
    try:
        fit(options.recipe, out=options.out / "run", quiet=True)
    except EnoughError:
        (options.out / f"{rank}.json").write_text(json.dumps(found))
        os._exit(0)  # the others stop after the same step


def watch(found: dict[str, Any], steps: int, counter: SentBytes) -> None:
    """Measure the steps of every training in this process, and save none of them."""
    step, seconds = Trainer._step, list[float]()

    def measured(self: Trainer, *args: Any) -> Any:
        start = time.perf_counter()
        if len(seconds) == WARM_UP:
            with counter:
                value = step(self, *args)
        else:
            value = step(self, *args)
        seconds.append(time.perf_counter() - start)
        if len(seconds) == steps:
            timed = seconds[WARM_UP + 1 :]
            found["seconds_per_step"] = sum(timed) / len(timed)
            found["bytes_per_step"] = sum(counter.by_name.values())
            found["collectives"] = counter.by_name
            found["peak_mb"] = peak_mb()
            raise EnoughError
        return value

    Trainer._step = measured  # type: ignore[method-assign]
    Trainer._save = lambda *_: None  # type: ignore[method-assign]


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
