"""Prediction speed: the latency of one user's candidates, and rows per second of a whole file.

    python -m benchmarks rank [--peers NAME=PYTHON ...]

Requests: 26 columns of ids and 13 numbers, half of them the user's, and a history of 50 that
attention pools. `repeated` gives every candidate the user's columns, as a file would; `once` pools
the history once and runs a query tower on one row. In turn, call by call.

Models: one forward pass of each ranker at an equal number of dense parameters, in turn.

Batches: DCN-V2 as `python -m benchmarks train` has it, on its click log; predictions
of the peers and ours: of tensors, and of raw rows in Parquet as `crosstower predict` reads them.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.batch_scoring import compare
from benchmarks.click_log import column_sizes
from benchmarks.machine import describe
from benchmarks.rank_models import compare_models
from crosstower.data.batch import Batch
from crosstower.data.layout import PADDING, RESERVED_CODES, CodeField, Head, Layout, ListField
from crosstower.data.request_batch import Request
from crosstower.models.registry import build

CANDIDATES = (1, 100, 500, 5_000)
LENGTH, NUMBERS, OF_USER = 50, 13, (13, 7)
USER = (*(f"C{i}" for i in range(OF_USER[0])), *(f"I{i}" for i in range(OF_USER[1])), "seen")
ITEM = (*(f"C{i}" for i in range(OF_USER[0], 26)), *(f"I{i}" for i in range(OF_USER[1], NUMBERS)))
MODELS: dict[str, dict[str, Any]] = {
    "dcn_v2": {"cross_layers": 3, "hidden": [400, 400]},
    "mmoe": {
        "experts": 4,
        "trunk": {"name": "mlp", "hidden": [256, 128]},
        "tower_hidden": [64],
    },
    "two_tower": {"item": ITEM, "query_hidden": [256, 64], "item_hidden": [256, 64]},
}
Forward = Callable[[Tensor, Tensor, Tensor], Tensor]


def main(arguments: list[str]) -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks rank", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=300, help="A fifth of it at 5,000.")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rows", type=int, default=500_000, help="Of the click log.")
    parser.add_argument("--peers", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--only", choices=("requests", "models", "batches"))
    options = parser.parse_args(arguments)
    settings = {"ids": options.ids, "calls": options.calls, "rows": options.rows, "seed": 0}
    print(describe(threads=torch.get_num_threads(), **settings))
    if options.only in (None, "requests"):
        _requests(options)
    if options.only in (None, "models"):
        compare_models(layout_of(options.ids), calls=options.calls // 5)
    if options.only in (None, "batches"):
        compare(rows=options.rows, ids=options.ids, peers=options.peers)


def _requests(options: argparse.Namespace) -> None:
    layout = layout_of(options.ids)
    print("ms per request: median (p99); gap is the largest difference of a logit from `repeated`")
    head = "".join(f"{form:>20}" for form in ("repeated", "once"))
    print(f"{'model':10}{'candidates':>11}{head}{'gap':>10}")
    for name in options.models:
        torch.manual_seed(0)
        model = build(layout, {"name": name, "embedding_dim": 16, **MODELS[name]}).eval()
        with torch.inference_mode():
            forms = forms_of(model)
            for count in CANDIDATES:
                calls = options.calls // (5 if count >= 5_000 else 1)
                _row(name, layout, forms, count=count, calls=max(calls, 2))
    print()


def _row(name: str, layout: Layout, forms: dict[str, Forward], *, count: int, calls: int) -> None:
    codes, numbers, seen = request_of(layout, count)
    inputs = dict.fromkeys(forms, (codes, numbers, seen))
    inputs["repeated"] = (codes, numbers, seen.repeat(count, 1))
    logits = {form: forward(*inputs[form]) for form, forward in forms.items()}
    gap = (logits["once"] - logits["repeated"]).abs().max()
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(calls):
        for form, forward in forms.items():
            start = time.perf_counter()
            forward(*inputs[form])
            seconds[form].append(time.perf_counter() - start)
    cells = "".join(f"{_times(of):>20}" for of in seconds.values())
    print(f"{name:10}{count:>11,}{cells}{gap:>10.0e}")


def _times(seconds: list[float]) -> str:
    return f"{1e3 * np.median(seconds):.2f} ({1e3 * np.quantile(seconds, 0.99):.1f})"


def layout_of(ids: int) -> Layout:
    """Return the columns: C0 … C25 with `ids` ids in sum, I0 … I12, and the history `seen`."""
    sizes = [RESERVED_CODES + int(size) for size in column_sizes(ids)]
    codes = tuple(CodeField(f"C{i}", size, f"C{i}") for i, size in enumerate(sizes))
    item = max(codes[OF_USER[0] :], key=lambda field: field.size)
    seen = ListField("seen", item.size, item.name, LENGTH, "attention")
    heads = (Head("click", "binary"), Head("like", "binary"))
    return Layout(codes, tuple(f"I{i}" for i in range(NUMBERS)), (seen,), heads)


def request_of(layout: Layout, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes and numbers of `count` candidates of one user, and the user's full history."""
    random = torch.Generator().manual_seed(count)
    columns = [torch.randint(1, f.size, (count, 1), generator=random) for f in layout.codes]
    codes = torch.cat(columns, 1).int()
    numbers = torch.randn(count, NUMBERS, generator=random)
    for own, width in zip((codes, numbers), OF_USER, strict=True):
        own[:, :width] = own[0, :width].clone()
    seen = torch.randint(PADDING + 1, layout.lists[0].size, (1, LENGTH), generator=random).int()
    return codes, numbers, seen


def forms_of(model: nn.Module) -> dict[str, Forward]:
    """Return logits `[B, T]` for codes `[B, F]`, numbers `[B, N]` and a history, in both ways."""

    def repeated(codes: Tensor, numbers: Tensor, seen: Tensor) -> Tensor:
        batch = Batch(codes, numbers, {"seen": seen}, torch.empty(len(codes), 0))
        return torch.stack(list(model(batch).values()), 1)

    def once(codes: Tensor, numbers: Tensor, seen: Tensor) -> Tensor:
        labels = torch.empty(len(codes), 0)
        request = Request(codes, numbers, {"seen": seen}, labels, frozenset(USER))
        return torch.stack(list(model(request).values()), 1)

    return {"repeated": repeated, "once": once}
