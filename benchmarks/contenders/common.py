"""Shared parts of the contenders of `python -m benchmarks train`: settings, rows, times, answer.

A contender runs as a script in an environment of its own, PYTHON NAME.py ROWS.npz MODEL SEED, with
this file in its folder; it imports only torch, NumPy, scikit-learn and its own library. It
prints one line of JSON, apart from its library's output.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

MODELS = ("dcn_v2", "wide_deep", "mmoe", "two_tower")
TASKS = ("click", "like")
BATCH, LEARNING_RATE, WIDTH = 4096, 1e-3, 16
HIDDEN, CROSS_LAYERS = [400, 400], 3
EXPERTS, EXPERT_HIDDEN, TOWER_HIDDEN = 4, [256, 128], [64]
SIDE_HIDDEN, VECTOR = [256, 64], 32
QUERY_CODES, QUERY_NUMBERS = 13, 7  # the first of the columns; the others are the item's
_PASSES = 5


@dataclass(frozen=True)
class Rows:
    """Codes `[rows, 26]` from 0 on, numbers `[rows, 13]` and labels `[rows, tasks]`."""

    codes: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    sizes: list[int]

    def part(self, rows: slice) -> "Rows":
        return Rows(self.codes[rows], self.numbers[rows], self.labels[rows], self.sizes)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the inputs by name: C0, C1 ... are codes, I0, I1 ... numbers."""
        codes = {f"C{i}": np.ascontiguousarray(c) for i, c in enumerate(self.codes.T)}
        return codes | {f"I{i}": np.ascontiguousarray(c) for i, c in enumerate(self.numbers.T)}

    def batches(self) -> list["Rows"]:
        starts = range(0, len(self.labels), BATCH)
        return [self.part(slice(start, start + BATCH)) for start in starts]


class Contender(Protocol):
    """A library with one of the models, ready to train."""

    def train(self) -> dict[str, Any]:
        """Train one epoch; what it returns joins the answer, `train_rows_per_second` among it."""
        ...

    def inputs(self, batch: Rows) -> Any:
        """Return a batch as the model takes it."""
        ...

    def scores(self, inputs: Any) -> torch.Tensor:
        """Return scores `[B]` of the first task."""
        ...

    def offered(self, test: Rows) -> Callable[[], Any] | None:
        """Return the library's own prediction of all rows, None where it has none."""
        ...


Make = Callable[[argparse.Namespace, Rows], Contender]


class UnsupportedError(Exception):
    """The library has no such model; the message says why."""


def run(make: Make, parser: argparse.ArgumentParser | None = None) -> None:
    """Train and test what `make` makes of the arguments and the training rows; print the answer."""
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("rows", type=Path)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("seed", type=int)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002 - peers draw from it
    train, test = read(options.rows, tasks=2 if options.model == "mmoe" else 1)
    try:
        answer = _answer(make(options, train), test)
    except UnsupportedError as error:
        answer = {"remark": str(error)}
    print(json.dumps(answer), flush=True)


def read(path: Path, *, tasks: int) -> tuple[Rows, Rows]:
    """Return the first nine tenths of the rows for training and the others for testing."""
    with np.load(path) as data:
        labels = data["labels"][:, :tasks]
        rows = Rows(data["codes"], data["numbers"], labels, data["sizes"].tolist())
    cut = len(labels) * 9 // 10
    return rows.part(slice(cut)), rows.part(slice(cut, None))


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` returns and the seconds that it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def peak_mb() -> float:
    """Return the most memory in MB that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _answer(contender: Contender, test: Rows) -> dict[str, Any]:
    answer = contender.train()
    answer.setdefault("peak_mb", peak_mb())
    batches = [contender.inputs(batch) for batch in test.batches()]
    with torch.no_grad():
        passes = [timed(lambda: [contender.scores(b) for b in batches]) for _ in range(_PASSES)]
    scores = torch.cat(passes[0][0]).float().numpy().ravel()
    answer["auc"] = float(roc_auc_score(test.labels[:, 0], scores))
    answer["predict_rows_per_second"] = len(scores) / min(seconds for _, seconds in passes)
    work = contender.offered(test)
    rate = len(scores) / min(timed(work)[1] for _ in range(2)) if work else None
    return answer | {"offered_predict_rows_per_second": rate}
