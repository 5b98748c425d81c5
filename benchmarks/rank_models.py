"""Forward time per row of each ranker, at an equal number of dense parameters."""

import time

import numpy as np
import torch

from benchmarks.ranker_sizes import FIXED, dense_parameters, sized, target_of
from crosstower.data.layout import Layout
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager
from crosstower.serving.export.sample import sample

BASE, CANDIDATES = "mlp", 500


def compare_models(layout: Layout, *, calls: int) -> None:
    """Print microseconds per row and the ratio to an MLP, median over calls in turn."""
    target, models = target_of(layout), {}
    for name in FIXED:
        torch.manual_seed(0)
        models[name] = Eager(build(layout, sized(name, layout, target)).eval())
    request = sample(layout, CANDIDATES, shared=["seen"])
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for call in range(calls + 1):  # the first one warms up
        for name, model in models.items():
            start = time.perf_counter()
            model.logits(request)
            if call:
                seconds[name].append(time.perf_counter() - start)
    print(f"{CANDIDATES} candidates of one user, {target:,} dense parameters ± 5 %\n")
    print("| model | dense parameters | µs per row | × mlp |\n|---|---|---|---|")
    for name, taken in seconds.items():
        size = dense_parameters(layout, sized(name, layout, target))
        ratio = np.median(np.array(taken) / np.array(seconds[BASE]))
        print(f"| {name} | {size:,} | {1e6 * np.median(taken) / CANDIDATES:.2f} | {ratio:.2f} |")
    print(flush=True)
