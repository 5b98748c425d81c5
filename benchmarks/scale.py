"""Training by one and several processes: rows/s, memory and bytes, compared with the plan.

    python -m benchmarks scale --ids 10_000_000 100_000_000 --processes 1 2

Each measurement is some steps of the training loop under torchrun: DCN-V2 of width 16 with row-wise
Adagrad, over 26 hashed columns of equal size with uniform ids. Rows/s are those of the median step.
Memory is what a process holds during the steps; its peak comes while it makes its tables. Bytes are
counted where torch hands them to Gloo: of an all-to-all, what goes to other processes; of an
all-reduce of N processes, the 2 (N - 1) / N that a ring sends.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe

COLUMNS, NUMBERS, WIDTH = 26, 13, 16
HEADER = (
    "ids",
    "processes",
    "rows/s (fastest step)",
    "MB per process",
    "planned",
    "peak MB",
    "MB sent per step",
    "planned",
)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ids", type=int, nargs="+", default=[10_000_000, 100_000_000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    print(describe(batch=options.batch_size, steps=options.steps, seed=options.seed))
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    with tempfile.TemporaryDirectory() as folder:
        for ids in options.ids:
            recipe = write_recipe(Path(folder), ids, options)
            for processes in options.processes:
                found = measured(recipe, processes, options)
                planned = plan(recipe, processes)
                print(f"| {' | '.join(row(ids, found, planned))} |", flush=True)


def write_recipe(folder: Path, ids: int, options: argparse.Namespace) -> Path:
    hashed = {"kind": "categorical", "hash_buckets": ids // COLUMNS - 3}
    columns: dict[str, Any] = {f"c{n}": hashed for n in range(COLUMNS)}
    columns |= {f"x{n}": "numeric" for n in range(NUMBERS)}
    training = {
        "epochs": 1,
        "batch_size": options.batch_size,
        "embedding_optimizer": "rowwise_adagrad",
        "clip_norm": None,
        "precision": "float32",
    }
    recipe = {
        "name": f"ids{ids}",
        "schema": {"columns": columns, "tasks": {"click": "binary"}},
        "model": {"name": "dcn_v2", "embedding_dim": WIDTH},
        "training": training,
        "evaluation": {"baselines": []},
    }
    path = folder / f"ids{ids}.yaml"
    path.write_text(json.dumps(recipe))  # JSON is YAML
    return path


def measured(recipe: Path, processes: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what each process measured.

    Raises:
        SystemExit: a process failed.

    """
    worker = ["-m", "benchmarks.scale_worker", str(recipe)]
    worker += ["--steps", str(options.steps), "--seed", str(options.seed)]
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory(dir=recipe.parent) as out:
        command = [*start, *worker, "--out", out]
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
        return [json.loads(path.read_text()) for path in sorted(Path(out).glob("*.json"))]


def plan(recipe: Path, processes: int) -> dict[str, Any]:
    """Return the plan of `crosstower plan RECIPE --processes N --json`."""
    command = [sys.executable, "-m", "crosstower", "plan", str(recipe), "--json"]
    command += ["--processes", str(processes)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def row(ids: int, found: list[dict[str, Any]], planned: dict[str, Any]) -> list[str]:
    memory = statistics.mean(one["resident_mb"] for one in found)
    peak = statistics.mean(one["peak_mb"] for one in found)
    sent = statistics.mean(one["bytes_per_step"] for one in found) / 1e6
    seconds = [max(step) for step in zip(*(one["seconds"] for one in found), strict=True)]
    rate, fastest = (planned["batch_size"] / s for s in (statistics.median(seconds), min(seconds)))
    expected = sum(planned["memory"].values()) / 1e6
    expected_sent = sum(planned["bytes_per_step"].values()) / 1e6
    return [
        f"{ids:,}",
        str(len(found)),
        f"{rate:,.0f} ({fastest:,.0f})",
        f"{memory:,.0f}",
        f"{expected:,.0f} ({expected / memory - 1:+.0%})",
        f"{peak:,.0f}",
        f"{sent:,.3f}",
        f"{expected_sent:,.3f} ({expected_sent / sent - 1:+.1%})" if sent else "0",
    ]
