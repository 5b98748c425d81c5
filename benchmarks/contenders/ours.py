"""Crosstower: its trainer, its batches, its defaults of precision; see `common` for the rest.

--optimizer is that of the embeddings; dense layers have the same Adam as everybody's.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import (
    BATCH,
    CROSS_LAYERS,
    EXPERT_HIDDEN,
    EXPERTS,
    HIDDEN,
    LEARNING_RATE,
    QUERY_CODES,
    QUERY_NUMBERS,
    SIDE_HIDDEN,
    TASKS,
    TOWER_HIDDEN,
    VECTOR,
    WIDTH,
    Rows,
    peak_mb,
    run,
    timed,
)
from torch.utils.flop_counter import FlopCounterMode

from crosstower.data.batch import Batch
from crosstower.data.batches import Batches
from crosstower.data.encoded_rows import EncodedRows
from crosstower.data.layout import RESERVED_CODES, CodeField, Head, Layout
from crosstower.losses.pointwise import PointwiseObjective
from crosstower.losses.task_balance import StaticBalance
from crosstower.models.registry import build
from crosstower.recipe.recipe import Training
from crosstower.training.devices import autocast
from crosstower.training.trainer import Trainer, predict_logits

CPU = torch.device("cpu")
# Of the embeddings. Dense Adam moves an id on by its old momentum after it was seen, ten times as
# far as in the step in which it was; a lazy row takes that one step, so its rate is higher. 0.008
# was chosen from 0.001 to 0.012 on the last tenth of the training rows, one rate for all models.
RATES = {"lazy_adam": 8e-3, "rowwise_adagrad": 2e-2}
ITEM = [f"C{i}" for i in range(QUERY_CODES, 26)] + [f"I{i}" for i in range(QUERY_NUMBERS, 13)]
MODELS = {
    "dcn_v2": {"cross_layers": CROSS_LAYERS, "hidden": HIDDEN, "dropout": 0.0},
    "wide_deep": {"hidden": HIDDEN, "dropout": 0.0},
    "mmoe": {
        "experts": EXPERTS,
        "trunk": {"name": "mlp", "hidden": EXPERT_HIDDEN, "dropout": 0.0},
        "tower_hidden": TOWER_HIDDEN,
        "dropout": 0.0,
    },
    "two_tower": {
        "item": ITEM,
        "query_hidden": SIDE_HIDDEN,
        "item_hidden": SIDE_HIDDEN,
        "dim": VECTOR,
        "dropout": 0.0,
    },
}


class Silent:
    """Sees the training and says nothing."""

    def begin(self, *, rows: int, epoch: int) -> None:
        """Ignore the start."""

    def advance(self, *, rows: int, loss: float) -> None:
        """Ignore a step."""

    def finish(self, record: dict[str, Any]) -> None:
        """Ignore the end."""


class Ours:
    def __init__(self, options: argparse.Namespace, train: Rows) -> None:
        self.layout, self.optimizer = layout(train), options.optimizer
        self.seed, self.train_rows = options.seed, batch_of(train)
        name = options.model
        self.model = build(self.layout, {"name": name, "embedding_dim": WIDTH, **MODELS[name]})
        balance = StaticBalance([1.0] * len(self.layout.heads))
        self.objective = PointwiseObjective(self.layout, balance)

    def train(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            record = self._fit(Path(folder))
        self.precision, peak = record["precision"], peak_mb()
        work = work_a_row(self.model, self.objective, self.train_rows[:BATCH])
        share = work * record["rows_per_second"] / matrix_rate(self.precision)
        return {
            "train_rows_per_second": record["rows_per_second"],
            "precision": self.precision,
            "wait_share": record.get("wait_share"),
            "dense_share": share,
            "peak_mb": peak,
        }

    def _fit(self, folder: Path) -> dict[str, Any]:
        settings = Training(
            epochs=1,
            batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            weight_decay=0.0,
            embedding_learning_rate=RATES[self.optimizer],
            embedding_optimizer=self.optimizer,
            device="cpu",
        )
        trainer = Trainer(
            model=self.model,
            objective=self.objective,
            settings=settings,
            batches=Batches(encoded(self.train_rows, folder), BATCH, seed=self.seed),
            validate=lambda _model, _precision: {"none": 0.0},  # it is tested when all is done
            monitor="none",
            higher_is_better=True,
            folder=folder / "run",
            observer=Silent(),
            device=CPU,
        )
        return trainer.fit().history[0]

    def inputs(self, batch: Rows) -> Batch:
        return batch_of(batch)

    def scores(self, inputs: Batch) -> torch.Tensor:
        self.model.eval()
        with autocast(CPU, self.precision):
            return self.model(inputs)[TASKS[0]].float()

    def offered(self, test: Rows) -> Callable[[], Any]:
        batches = Batches(encoded(batch_of(test), Path()), BATCH)
        return lambda: predict_logits(self.model, batches, device=CPU, precision=self.precision)


def layout(rows: Rows) -> Layout:
    codes = tuple(
        CodeField(f"C{i}", RESERVED_CODES + size, f"C{i}") for i, size in enumerate(rows.sizes)
    )
    numbers = tuple(f"I{i}" for i in range(rows.numbers.shape[1]))
    heads = tuple(Head(task, "binary") for task in TASKS[: rows.labels.shape[1]])
    return Layout(codes, numbers, (), heads)


def batch_of(rows: Rows) -> Batch:
    codes = torch.from_numpy(rows.codes) + RESERVED_CODES
    return Batch(codes, torch.from_numpy(rows.numbers), {}, torch.from_numpy(rows.labels))


def encoded(rows: Batch, folder: Path) -> EncodedRows:
    tensors = (rows.codes, rows.numbers, rows.labels)
    kept = EncodedRows(folder, 2 * sum(t.nbytes for t in tensors))  # enough: nothing is spilled
    kept.add(rows)
    return kept


def work_a_row(model: torch.nn.Module, objective: PointwiseObjective, batch: Batch) -> float:
    """Return the operations of the matrix products of a step, forward and backward, a row."""
    with FlopCounterMode(display=False) as counter:
        objective.backward(model, objective.loss(model, batch))
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / len(batch)


def matrix_rate(precision: str, repeats: int = 60) -> float:
    """Return the operations per second of products in a precision, the best of two shapes."""
    rates, dtype = [0.0], getattr(torch, precision)
    for width in (512, 1024):
        left = torch.randn(BATCH, width, dtype=dtype)
        right = torch.randn(width, width, dtype=dtype)
        best = min(timed(lambda a=left, b=right: a @ b)[1] for _ in range(repeats))
        rates.append(2.0 * BATCH * width * width / best)
    return max(rates)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--optimizer", choices=RATES, default="lazy_adam")
    run(Ours, arguments)
