"""Latency of one user's candidates: PyTorch (eager) and ONNX.

    python -m benchmarks export

The columns and models of `python -m benchmarks rank`: 26 columns of ids and 13 numbers, half of
them the user's, and a history of 50 that attention pools once a call; without it with --no-history.
From a request of tensors to NumPy logits, both forms in turn, call by call. Run it with
OMP_NUM_THREADS=1 unless nothing else wants the cores: torch's threads wait for one another in a
loop, which takes 200 ms now and then where another process has the core of one of them.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import describe
from benchmarks.rank import MODELS, USER, layout_of
from crosstower.data.layout import Layout
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager, Exported
from crosstower.serving.export.onnx_export import save_onnx, traced
from crosstower.serving.export.onnx_ranker import OnnxRanker
from crosstower.serving.export.sample import sample
from crosstower.serving.export.signature import signature_of


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks export", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--ids", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 100, 500, 1000])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["dcn_v2", "mmoe"])
    parser.add_argument("--no-history", action="store_true")
    options = parser.parse_args(arguments)
    settings = {"ids": options.ids, "calls": options.calls, "seed": 0}
    print(describe(threads=torch.get_num_threads(), **settings))
    layout = layout_of(options.ids)
    if options.no_history:
        layout = replace(layout, lists=())
    print("ms per request: median (p99); gap is the largest difference of a logit from eager")
    head = "".join(f"{form:>18}" for form in ("eager", "onnx"))
    print(f"{'model':10}{'candidates':>11}{head}{'gap':>9}")
    for name in options.models:
        torch.manual_seed(0)
        model = build(layout, {"name": name, "embedding_dim": 16, **MODELS[name]}).eval()
        with tempfile.TemporaryDirectory() as folder:
            forms = forms_of(model, layout, Path(folder))
            for count in options.candidates:
                _row(name, layout, forms, count=count, calls=options.calls)


def forms_of(model: torch.nn.Module, layout: Layout, folder: Path) -> dict[str, Exported]:
    """Return the model itself and as ONNX."""
    shared = frozenset(USER) & {*layout.columns()}
    signature = signature_of(layout, shared)
    save_onnx(traced(model, layout, shared), folder / "model.onnx", signature)
    return {"eager": Eager(model), "onnx": OnnxRanker(folder / "model.onnx", signature)}


def _row(name: str, layout: Layout, forms: dict[str, Exported], *, count: int, calls: int) -> None:
    request = sample(layout, count, shared=frozenset(USER) & {*layout.columns()})
    expected = forms["eager"].logits(request)
    gap = max(
        float(np.abs(form.logits(request)[task] - logits).max())
        for form in forms.values()
        for task, logits in expected.items()
    )
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for _ in range(calls):
        for form, exported in forms.items():
            start = time.perf_counter()
            exported.logits(request)
            seconds[form].append(time.perf_counter() - start)
    cells = [_times(of) for of in seconds.values()]
    print(f"{name:10}{count:>11,}{''.join(f'{c:>18}' for c in cells)}{gap:>9.0e}")


def _times(seconds: list[float]) -> str:
    return f"{1e3 * np.median(seconds):.2f} ({1e3 * np.quantile(seconds, 0.99):.1f})"
