"""Look-ups and fused updates of one table: rows/s and the share of the memory's bandwidth.

    python -m benchmarks fused_tables --device cuda --bandwidth 3350

A process looks rows of a sharded table up and updates them by row-wise Adagrad of FBGEMM, as in
training by several processes. It exchanges them with itself by NCCL on a GPU and by Gloo on a CPU.
Before it is timed, the same updates are made by our own row-wise Adagrad on the CPU and compared.
Bytes are those of the plan: a distinct row is moved five times and its state twice, and a look-up
reads a row and writes a gradient.
"""

import argparse
import json
import os
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.machine import describe
from crosstower.fitting.plan.formulas import FLOAT
from crosstower.nn.table_rows import Share
from crosstower.training.distributed.sharded_tables import Fused, ShardedTableRows
from crosstower.training.distributed.world import ProcessWorld
from crosstower.training.optimizers.rowwise_adagrad import RowwiseAdagrad

RATE, EPS, COMPARED = 0.1, 1e-8, 5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks fused_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda.")
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--look-ups", type=int, default=65_536 * 26, help="Per step.")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--bandwidth", type=float, metavar="GB/S", help="Of the device's memory.")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MASTER_PORT", "0")
    device = torch.device(options.device)
    gpu = torch.cuda.get_device_name() if device.type == "cuda" else "none"
    print(describe(GPU=gpu, **{k: v for k, v in vars(options).items() if v is not None}))
    ProcessWorld(device)
    found = {"difference": largest_difference(device, options.seed)}
    found |= speed(device, options)
    print(json.dumps(found))


def table_of(rows: Tensor, device: torch.device) -> ShardedTableRows:
    fused = Fused("rowwise_adagrad", EPS)
    table = ShardedTableRows(rows.shape[1], len(rows), Share(0, 1), device, fused)
    table.weights.copy_(rows)
    return table


def update(table: ShardedTableRows, ids: Tensor, slopes: Tensor) -> None:
    """Make one step whose loss has the gradients `slopes` `[n, D]` at the rows `ids` `[n]`."""
    table.begin(RATE)
    (table.look_up(ids) * slopes).sum().backward()
    table.update()


def largest_difference(device: torch.device, seed: int) -> float:
    """Return the largest difference of a weight from those of our optimiser, after some steps."""
    random = torch.Generator().manual_seed(seed)
    start = torch.randn(100, 8, generator=random)
    table, plain = table_of(start, device), nn.Parameter(start.clone())
    optimizer = RowwiseAdagrad([plain], lr=RATE, eps=EPS)
    for _ in range(COMPARED):
        ids = torch.randint(0, 100, (60,), generator=random)
        slopes = torch.randn(60, 8, generator=random)
        update(table, ids.to(device), slopes.to(device))
        (F.embedding(ids, plain, sparse=True) * slopes).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return float((table.weights.cpu() - plain.detach()).abs().max())


def speed(device: torch.device, options: argparse.Namespace) -> dict[str, float]:
    """Return look-ups per second and, with a bandwidth, the share of it."""
    random = torch.Generator(device).manual_seed(options.seed)
    table = table_of(torch.zeros(options.ids, options.width), device)
    slopes = torch.randn(options.look_ups, options.width, generator=random, device=device)
    seconds, moved = 0.0, 0.0
    for step in range(options.steps + 1):
        ids = torch.randint(0, options.ids, (options.look_ups,), generator=random, device=device)
        distinct = len(torch.unique(ids))
        start = now(device)
        update(table, ids, slopes)
        if step:  # the first one warms up
            seconds += now(device) - start
            row = options.width * FLOAT
            moved += distinct * (5 * row + 2 * FLOAT) + 2 * options.look_ups * row
    found = {
        "look_ups_per_second": options.look_ups * options.steps / seconds,
        "gb_per_second": moved / seconds / 1e9,
    }
    if options.bandwidth is not None:
        found["share_of_bandwidth"] = found["gb_per_second"] / options.bandwidth
    return found


def now(device: torch.device) -> float:
    """Return the time after all work on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
