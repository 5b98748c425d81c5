"""The data path: seconds to the first batch, memory, and whether training waits.

1. Text columns in Parquet and in CSV to a shuffled batch of tensors: crosstower, with its splits,
   vocabularies of the training rows and checks; also pandas and scikit-learn's OrdinalEncoder.
2. Peak memory above the imports, of preparing and an epoch of batches: rows that fit into
   `data.memory_mb`, then files 2, 4 and 8 times as large as it.
3. Training of a DCN-V2 on rows in memory and on rows read from disk, in turn.

Every line is of a process of its own; peaks are read from /proc, so that this runs on Linux.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.machine import describe

BATCH = 4096
TEXTS = (1_000_000, 100_000, 10_000, 1_000, 50)
WIDE, WIDE_IDS = 20, 10_000
ROW_BYTES = WIDE * 4 + 4
FIELDS, NUMBERS, FIELD_IDS, BLOCK_ROWS = 26, 13, 20_000, 50_000
TRAIN_BYTES = (FIELDS + NUMBERS + 1) * 4


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks data", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of table 1")
    parser.add_argument("--rounds", type=int, default=3, help="of tables 1 and 3")
    parser.add_argument("--encoded-mb", type=int, default=1_000, help="in memory, of table 2")
    parser.add_argument("--memory-mb", type=int, default=100, help="of the streamed files")
    parser.add_argument("--train-rows", type=int, default=600_000, help="of table 3")
    parser.add_argument("--tables", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args(arguments)
    print(describe(seed=0, **vars(options)))
    tables: list[Callable[[argparse.Namespace, Path], None]] = [first_batch, memory, training]
    for number in options.tables:
        with tempfile.TemporaryDirectory() as folder:
            tables[number - 1](options, Path(folder))


def first_batch(options: argparse.Namespace, folder: Path) -> None:
    frame = pl.DataFrame(list(texts(options.rows)))
    frame.write_parquet(folder / "rows.parquet")
    frame.write_csv(folder / "rows.csv")
    print(f"Seconds to the first batch: {options.rows:,} rows, {len(TEXTS)} columns of text\n")
    print(
        "| file | crosstower s | pandas + OrdinalEncoder s | ratio | MB | peer MB |\n|" + "---|" * 6
    )
    for name in ("rows.parquet", "rows.csv"):
        runs: dict[str, list[Any]] = {"ours": [], "peer": []}
        for _ in range(options.rounds):
            for who, answers in runs.items():
                answers.append(child(f"first_batch_{who}", str(folder / name)))
        ours, peer = ([a["seconds"] for a in answers] for answers in runs.values())
        ratio = statistics.median(p / o for p, o in zip(peer, ours, strict=True))
        peaks = [f"{max(a['peak'] for a in answers):,.0f}" for answers in runs.values()]
        print(
            f"| {name[5:]} | {spread(ours)} | {spread(peer)} | {ratio:.1f} | {' | '.join(peaks)} |"
        )


def texts(rows: int) -> Iterator[pl.Series]:
    """Yield columns of text with log-uniform frequencies, and a label."""
    random = np.random.default_rng(0)
    for place, size in enumerate(TEXTS):
        ids = np.minimum(size ** random.random(rows) - 1, size - 1).astype(np.int64)
        yield (f"v{place}_" + pl.Series(ids).cast(pl.String)).alias(f"c{place}")
    yield pl.Series("label", (random.random(rows) < 0.2).astype(np.int8))


def first_batch_ours(path: str) -> dict[str, float]:
    from crosstower.data.batches import Batches

    recipe, prepared = preparing(len(TEXTS))
    loaded, start = peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as spill:
        ready = prepared(recipe(path, 1024), Path(spill))
        next(iter(Batches(ready.rows["train"], BATCH, seed=0).epoch()))
        return {"seconds": time.perf_counter() - start, "peak": peak() - loaded}


def first_batch_peer(path: str) -> dict[str, float]:
    import pandas as pd
    import torch
    from sklearn.preprocessing import OrdinalEncoder

    loaded, start = peak(), time.perf_counter()
    parquet = path.endswith(".parquet")
    frame = pd.read_parquet(path) if parquet else pd.read_csv(path, engine="pyarrow")
    names = [f"c{i}" for i in range(len(TEXTS))]
    encoder = OrdinalEncoder(dtype=np.int32, handle_unknown="use_encoded_value", unknown_value=-1)
    codes = torch.from_numpy(encoder.fit_transform(frame[names]))
    labels = torch.from_numpy(frame["label"].to_numpy(np.float32))
    chosen = torch.randperm(len(codes), generator=torch.Generator().manual_seed(0))[:BATCH]
    codes[chosen], labels[chosen]
    return {"seconds": time.perf_counter() - start, "peak": peak() - loaded}


def memory(options: argparse.Namespace, folder: Path) -> None:
    print(f"\nPeak memory above the imports: {WIDE} columns, {ROW_BYTES} bytes an encoded row\n")
    print("| data | memory_mb | encoded MB | MB, preparing | MB, epoch | MB / encoded | rows/s |")
    print("|" + "---|" * 7)
    # A split is a share of the rows by chance: a little room keeps all three in memory.
    plans = [("in memory", options.encoded_mb, int(options.encoded_mb * 1.05))]
    plans += [(f"{n} x memory", n * options.memory_mb, options.memory_mb) for n in (2, 4, 8)]
    for name, encoded_mb, memory_mb in plans:
        path = folder / "rows.parquet"
        write_rows(path, int(encoded_mb * 1e6 / ROW_BYTES))
        seen = child("memory_of", str(path), str(memory_mb))
        share = f"{seen['epoch'] / encoded_mb:.2f}" if name == "in memory" else ""
        peaks = f"{seen['prepared']:,.0f} | {seen['epoch']:,.0f} | {share}"
        print(f"| {name} | {memory_mb:,} | {encoded_mb:,} | {peaks} | {seen['speed']:,.0f} |")


def write_rows(path: Path, rows: int) -> None:
    import pyarrow.parquet as pq

    random, writer = np.random.default_rng(0), None
    for start in range(0, rows, 200_000):
        count = min(200_000, rows - start)
        columns = {f"c{i}": random.integers(0, WIDE_IDS, count) for i in range(WIDE)}
        table = pl.DataFrame({**columns, "label": random.integers(0, 2, count)}).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def memory_of(path: str, memory_mb: str) -> dict[str, float]:
    from crosstower.data.batches import Batches

    recipe, prepared = preparing(WIDE)
    loaded, start = peak(), time.perf_counter()
    with tempfile.TemporaryDirectory() as spill:
        ready = prepared(recipe(path, int(memory_mb)), Path(spill))
        seconds, after = time.perf_counter() - start, peak()
        for _ in Batches(ready.rows["train"], BATCH, seed=0).epoch():
            pass
    speed = sum(ready.facts.rows.values()) / seconds
    return {"prepared": after - loaded, "epoch": peak() - loaded, "speed": speed}


def preparing(columns: int) -> tuple[Callable[[str, int], Any], Callable[[Any, Path], Any]]:
    """Import what preparing needs; return how a recipe is made and how its rows are prepared."""
    from crosstower.data.reading import source_of
    from crosstower.ranking.data import prepare
    from crosstower.recipe.recipe import Recipe

    names = {f"c{i}": "categorical" for i in range(columns)}

    def recipe(path: str, memory_mb: int) -> Recipe:
        schema = {"columns": names, "tasks": {"label": "binary"}}
        return Recipe.model_validate(
            {"data": {"path": path, "memory_mb": memory_mb}, "schema": schema}
        )

    return recipe, lambda r, spill: prepare(r, source_of(r.data), spill=spill)


def training(options: argparse.Namespace, _folder: Path) -> None:
    rows = options.train_rows
    times = f"{rows * TRAIN_BYTES / 1e6:,.0f} MB in memory, or with an eighth of that as memory"
    print(
        f"\nTraining: DCN-V2, {FIELDS} + {NUMBERS} columns, batch {BATCH}, {rows:,} rows, {times}\n"
    )
    print("| rows | rows/s | waiting for data | rows/s of batches alone |\n|---|---|---|---|")
    runs = child("training_of", str(rows), str(options.rounds))
    for name, records in runs.items():
        waits = max(r["wait_share"] for r in records)
        rates = (spread([r[kind] for r in records], 0) for kind in ("rows_per_second", "alone"))
        print(f"| {name} | {f' | {waits:.1%} | '.join(rates)} |")
    speeds = [[r["rows_per_second"] for r in records] for records in runs.values()]
    ratio = statistics.median(disk / held for held, disk in zip(*speeds, strict=True))
    print(f"\nFrom disk {ratio:.0%} of the rate in memory (median over rounds)")


def training_of(rows: str, rounds: str) -> dict[str, list[dict[str, float]]]:
    """Train epochs in turn on the same rows, in memory and on disk; return their records."""
    count, records = int(rows), {"in memory": list[Any](), "from disk": list[Any]()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        few = encoded_rows(place / "few", 10 * BATCH, 10**10)
        held = encoded_rows(place / "held", count, 10**10)
        disk = encoded_rows(place / "disk", count, count * TRAIN_BYTES // 8)
        trained(few, place / "run")
        for _ in range(int(rounds)):
            for name, of in zip(records, (held, disk), strict=True):
                records[name].append(trained(of, place / "run") | {"alone": batches_alone(of)})
    return records


def encoded_rows(folder: Path, rows: int, memory_bytes: int) -> Any:
    import torch

    from crosstower.data.batch import Batch
    from crosstower.data.encoded_rows import EncodedRows
    from crosstower.data.layout import RESERVED_CODES

    random, held = torch.Generator().manual_seed(0), EncodedRows(folder, memory_bytes)
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        ids = FIELD_IDS ** torch.rand(count, FIELDS, generator=random) - 1
        labels = (torch.rand(count, 1, generator=random) < 0.2).float()
        numbers = torch.randn(count, NUMBERS, generator=random)
        held.add(Batch(ids.int() + RESERVED_CODES, numbers, {}, labels))
    return held


def trained(rows: Any, folder: Path) -> dict[str, float]:
    import torch

    from crosstower.data.batches import Batches
    from crosstower.data.layout import RESERVED_CODES, CodeField, Head, Layout
    from crosstower.losses.pointwise import PointwiseObjective
    from crosstower.losses.task_balance import StaticBalance
    from crosstower.models.registry import build
    from crosstower.recipe.recipe import Training
    from crosstower.training.trainer import Trainer

    torch.manual_seed(0)
    codes = [CodeField(f"C{i}", RESERVED_CODES + FIELD_IDS, f"C{i}") for i in range(FIELDS)]
    numbers = tuple(f"I{i}" for i in range(NUMBERS))
    layout = Layout(tuple(codes), numbers, (), (Head("click", "binary"),))
    model = {"name": "dcn_v2", "embedding_dim": 16, "hidden": [400, 400]}
    position = Trainer(
        model=build(layout, model),
        objective=PointwiseObjective(layout, StaticBalance([1.0])),
        settings=Training(epochs=1, batch_size=BATCH),
        batches=Batches(rows, BATCH, seed=0),
        validate=lambda _model, _precision: {"click.log_loss": 0.0},
        monitor="click.log_loss",
        higher_is_better=False,
        folder=folder,
        observer=Silent(),
        device=torch.device("cpu"),
    ).fit()
    return {name: position.history[0][name] for name in ("rows_per_second", "wait_share")}


def batches_alone(rows: Any) -> float:
    from crosstower.data.batches import Batches

    start = time.perf_counter()
    for _ in Batches(rows, BATCH, seed=0).epoch(1):
        pass
    return len(rows) / (time.perf_counter() - start)


class Silent:
    """An observer that says nothing."""

    def begin(self, *, rows: int, epoch: int) -> None: ...

    def advance(self, *, rows: int, loss: float) -> None: ...

    def finish(self, record: dict[str, Any]) -> None: ...


def peak() -> float:
    """Return the most MB of memory that this process has had; a parent's do not count."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def spread(values: list[float], digits: int = 1) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def child(name: str, *arguments: str) -> Any:
    """Return what a function of this module answers in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.data", name, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
