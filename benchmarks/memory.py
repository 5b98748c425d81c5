"""Peak memory of preparing and of an epoch over files larger than the allowed memory."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from benchmarks.machine import describe

COLUMNS, ROW_BYTES = 20, 20 * 4 + 4
CHILD = """
import json, resource, sys, time
from pathlib import Path
from crosstower.data.batches import Batches
from crosstower.data.prepare import prepare, source_of
from crosstower.recipe import Recipe
path, spill, memory, columns = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
recipe = Recipe.model_validate({
    "data": {"path": path, "memory_mb": memory},
    "schema": {"columns": {f"c{i}": "categorical" for i in range(columns)},
               "tasks": {"click": "binary"}},
})
loaded, start = peak(), time.perf_counter()
ready = prepare(recipe, source_of(recipe.data), spill=spill)
prepared, seconds = peak(), time.perf_counter() - start
start = time.perf_counter()
rows = sum(len(batch) for batch in Batches(ready.rows["train"], 4096, seed=0).epoch())
print(json.dumps({"loaded": loaded, "prepared": prepared, "epoch": peak(),
                  "rows_per_s": sum(ready.facts.rows.values()) / seconds,
                  "epoch_rows_per_s": rows / (time.perf_counter() - start)}))
"""


def write_rows(path: Path, rows: int) -> None:
    random, writer = np.random.default_rng(0), None
    for start in range(0, rows, 200_000):
        count = min(200_000, rows - start)
        frame = pl.DataFrame(
            {f"c{i}": random.integers(0, 10_000, count) for i in range(COLUMNS)}
        ).with_columns(click=pl.Series(random.integers(0, 2, count)))
        table = frame.to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    parser.add_argument("--memory-mb", type=int, default=100)
    parser.add_argument("--times", type=float, nargs="+", default=[0.5, 1, 2, 4, 8])
    options = parser.parse_args(arguments)
    print(describe(memory_mb=options.memory_mb, columns=COLUMNS))
    print(
        "| encoded / allowed | rows | MB after imports | MB peak, preparing | MB peak, epoch |"
        " rows/s preparing | rows/s of batches |\n|---|---|---|---|---|---|---|"
    )
    for times in options.times:
        rows = int(times * options.memory_mb * 1e6 / ROW_BYTES)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.parquet"
            write_rows(path, rows)
            command = [sys.executable, "-c", CHILD, str(path), f"{folder}/spill"]
            command += [str(options.memory_mb), str(COLUMNS)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        seen = json.loads(done.stdout)
        peaks = " | ".join(f"{seen[k]:,.0f}" for k in ("loaded", "prepared", "epoch"))
        speeds = " | ".join(f"{seen[k]:,.0f}" for k in ("rows_per_s", "epoch_rows_per_s"))
        print(f"| {times:g} | {rows:,} | {peaks} | {speeds} |", flush=True)
