"""Rows prepared once, in one process and by Daft, and the time that training then saves.

Seconds and peak memory of `crosstower prepare` with each engine, and seconds to the first batch of
training with and without prepared rows. The rows have 10 columns: 4 of text, 4 of numbers (one
ranked by quantile), a list and a label. Every line is of a process of its own; peaks are read from
/proc, so that this runs on Linux.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import describe

CARDINALITIES = (1_000_000, 100_000, 1_000, 50)
PART_ROWS = 1 << 20
RECIPE = """
data: {{path: {folder}/rows, engine: {engine}}}
schema:
  columns:
    c0: categorical
    c1: {{kind: categorical, min_count: 2}}
    c2: categorical
    c3: categorical
    n0: numeric
    n1: {{kind: numeric, transform: log1p}}
    n2: {{kind: numeric, transform: quantile}}
    n3: {{kind: numeric, transform: bucketise}}
    tags: {{kind: bag, max_len: 5}}
  tasks: {{click: binary}}
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks prepare", description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args(arguments)
    print(describe(seed=0, **vars(options)))
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder) / "rows", options.rows)
        rows = f"{options.rows:,} rows, 10 columns"
        print(f"Preparing {rows}\n\n| engine | s | CPU s | rows/s | peak MB |\n" + "|---" * 5 + "|")
        for engine in ("local", "daft"):
            for _ in range(options.rounds):
                shutil.rmtree(Path(folder) / engine, ignore_errors=True)
                found = child("prepared", folder, engine)
                rate = options.rows / found["s"]
                times = f"{found['s']:,.1f} | {found['cpu']:,.1f}"
                print(f"| {engine} | {times} | {rate:,.0f} | {found['mb']:,.0f} |", flush=True)
        same = digests(Path(folder) / "local") == digests(Path(folder) / "daft")
        print(f"\nEncoded rows and encoders of both are {'equal' if same else 'DIFFERENT'}.\n")
        print("| a training run | s to the first batch | CPU s | peak MB |\n" + "|---" * 4 + "|")
        for name in ("rows", "prepared rows"):
            found = child("first_batch", folder, name)
            times = f"{found['s']:,.1f} | {found['cpu']:,.1f}"
            print(f"| on {name} | {times} | {found['mb']:,.0f} |")


def write_rows(folder: Path, rows: int) -> None:
    folder.mkdir()
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        count, random = min(PART_ROWS, rows - start), np.random.default_rng(number)
        places = {f"c{i}": c ** random.random(count) for i, c in enumerate(CARDINALITIES)}
        ids = {n: pl.Series(p.astype(np.int64)).cast(pl.String) for n, p in places.items()}
        normal = {f"n{i}": random.lognormal(size=count) for i in range(4)}
        tags = pl.Series(random.integers(0, 200, (count, 3)).tolist())
        click = (random.random(count) < 0.2).astype(np.int8)
        frame = pl.DataFrame({**ids, **normal, "tags": tags, "click": click})
        frame.write_parquet(folder / f"part-{number:04d}.parquet", row_group_size=PART_ROWS)


def prepared(folder: str, engine: str) -> dict[str, float]:
    from crosstower.fitting.prepared import prepare
    from crosstower.recipe.loading import parse_recipe

    recipe = parse_recipe(RECIPE.format(folder=folder, engine=engine))
    start = time.perf_counter()
    prepare(recipe, Path(folder) / engine, quiet=True)
    return taken(start)


def digests(folder: Path) -> list[Any]:
    """Return the fingerprint of the rows, and the checksums of the files of the encoder."""
    manifest = json.loads((folder / "prepared.json").read_bytes())
    files = {n: f for n, f in manifest["files"].items() if n.startswith("encoder/")}
    return [manifest["facts"]["fingerprint"], files]


def first_batch(folder: str, name: str) -> dict[str, float]:
    from crosstower.data.counters.counted_source import counted_training_source
    from crosstower.data.encoders.encoder_fit import EncoderFit
    from crosstower.data.progress import no_progress
    from crosstower.fitting.prepared import prepared_for
    from crosstower.ranking.job import RankingJob
    from crosstower.recipe.loading import parse_recipe

    recipe = parse_recipe(RECIPE.format(folder=folder, engine="local"))
    job, start = RankingJob(recipe), time.perf_counter()
    if name == "rows":
        job.read(
            counted_training_source(recipe),
            spill=Path(folder) / "spill",
            encoder=EncoderFit(recipe.schema_),
            on_progress=no_progress,
        )
    else:
        job.load(prepared_for(Path(folder) / "local", recipe))
    next(iter(job.batches(0).epoch()))
    return taken(start)


def taken(start: float) -> dict[str, float]:
    """Return seconds since `start`, CPU seconds of this process, and its peak memory in MB."""
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1e3
    return {"s": time.perf_counter() - start, "cpu": time.process_time(), "mb": peak}


def child(name: str, *arguments: str) -> Any:
    """Return what a function of this module answers in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.prepare", name, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
