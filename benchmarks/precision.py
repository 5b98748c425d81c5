"""Steps in float32 and in bfloat16, by the matrix products of a step: where does bfloat16 pay?

A DCN-V2 over 26 columns of ids and 13 numbers with wider and wider layers, on random rows. Steps
are forward and backward, without the update, which is float32 in both; both precisions take turns,
and the fastest of `--repeats` steps counts. `precision: auto` takes bfloat16 from the work on at
which the gain passes 1.2 (`crosstower.training.devices.LEAST_WORK`).
"""

import argparse
import time

import torch

from benchmarks.machine import describe
from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.task_balance import StaticBalance
from crosstower.models.registry import build
from crosstower.training.devices import autocast, bfloat16_instructions, work_of

CPU = torch.device("cpu")
WIDTHS = ((), (32,), (64,), (128, 64), (256, 128), (400, 400), (800, 400))
FIELDS, NUMBERS = 26, 13


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks precision", description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args(arguments)
    print(describe(threads=torch.get_num_threads(), repeats=options.repeats))
    print(f"bfloat16 products: {bfloat16_instructions(CPU) or 'emulated'}\n")
    print(
        "| model | rows per step | million operations | float32 ms | bfloat16 ms | gain |\n"
        "|---|---|---|---|---|---|"
    )
    for hidden in WIDTHS:
        for size in options.batches:
            print(row(hidden, size, options.repeats), flush=True)


def row(hidden: tuple[int, ...], size: int, repeats: int) -> str:
    torch.manual_seed(0)
    layout = Layout(
        tuple(CodeField(f"C{i}", 1003, f"C{i}") for i in range(FIELDS)),
        tuple(f"I{i}" for i in range(NUMBERS)),
        (),
        (Head("click", "binary"),),
    )
    name = "dcn_v2" if hidden else "logistic_regression"
    options = {"embedding_dim": 16 if len(hidden) > 1 else 4, "hidden": hidden, "cross_layers": 1}
    model = build(layout, {"name": name, **(options if hidden else {})})
    codes = torch.randint(3, 1003, (size, FIELDS)).int()
    labels = (torch.rand(size, 1) < 0.2).float()
    batch = Batch(codes, torch.randn(size, NUMBERS), {}, labels)
    objective = PointwiseObjective(layout, StaticBalance([1.0]))
    best = {"float32": float("inf"), "bfloat16": float("inf")}
    for _ in range(repeats):
        for precision, before in best.items():
            best[precision] = min(before, seconds(model, batch, objective, precision))
    work = work_of(model, batch, objective.loss)
    times = " | ".join(f"{1e3 * t:.2f}" for t in best.values())
    gain = best["float32"] / best["bfloat16"]
    words = f"dcn_v2 {list(hidden)}" if hidden else name
    return f"| {words} | {size:,} | {work / 1e6:,.1f} | {times} | {gain:.2f} |"


def seconds(
    model: torch.nn.Module, batch: Batch, objective: PointwiseObjective, precision: str
) -> float:
    start = time.perf_counter()
    with autocast(CPU, precision):
        loss = objective.loss(model, batch)
    objective.backward(model, loss)
    taken = time.perf_counter() - start
    model.zero_grad(set_to_none=True)
    return taken
