"""Latency of one user's candidates by exported form: torch itself, torch.export, AOTI and ONNX.

    python -m benchmarks export

The columns and models of `python -m benchmarks rank`: 26 columns of ids and 13 numbers, half of
them the user's, and a history of 50 that attention pools once a call; without it with --no-history.
From a request of tensors to NumPy logits, the forms in turn, call by call. Run it with
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
from crosstower.errors import RunError
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager, Exported
from crosstower.serving.export import compiled, onnx, program
from crosstower.serving.export.inputs import signature_of
from crosstower.serving.export.sample import sample

FORMS = ("eager", "torch_export", "aoti", "onnx")


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
    print("ms a request: median (p99); gap is the largest difference of a logit from eager")
    head = "".join(f"{form:>18}" for form in FORMS)
    print(f"{'model':10}{'candidates':>11}{head}{'gap':>9}")
    for name in options.models:
        torch.manual_seed(0)
        model = build(layout, {"name": name, "embedding_dim": 16, **MODELS[name]}).eval()
        with tempfile.TemporaryDirectory() as folder:
            forms = forms_of(model, layout, Path(folder))
            for count in options.candidates:
                _row(name, layout, forms, count=count, calls=options.calls)


def forms_of(model: torch.nn.Module, layout: Layout, folder: Path) -> dict[str, Exported]:
    """Return every form of a model that this machine can make."""
    shared = frozenset(USER) & {*layout.columns()}
    signature, traced = signature_of(layout, shared), program.traced(model, layout, shared)
    program.save_program(traced, folder / "model.pt2")
    onnx.save_onnx(traced, folder / "model.onnx", signature)
    forms: dict[str, Exported] = {
        "eager": Eager(model),
        "torch_export": program.open_program(folder / "model.pt2", signature),
        "onnx": onnx.OnnxRanker(folder / "model.onnx", signature),
    }
    try:
        compiled.compile_program(traced, folder / "compiled.pt2")
        machine = compiled.this_machine()
        forms["aoti"] = compiled.open_compiled(folder / "compiled.pt2", signature, machine)
    except RunError as error:
        print(error)
    return forms


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
    cells = [_times(seconds.get(form)) for form in FORMS]
    print(f"{name:10}{count:>11,}{''.join(f'{c:>18}' for c in cells)}{gap:>9.0e}")


def _times(seconds: list[float] | None) -> str:
    if seconds is None:
        return "–"
    return f"{1e3 * np.median(seconds):.2f} ({1e3 * np.quantile(seconds, 0.99):.1f})"
