"""Time of a training step at 1 M and at 10 M ids: the same model, the same batch."""

import argparse
import statistics
import time

import torch

from benchmarks.machine import describe
from crosstower.data.batch import Batch
from crosstower.data.layout import RESERVED_CODES, CodeField, Head, Layout
from crosstower.losses.pointwise import task_losses
from crosstower.models.registry import build
from crosstower.recipe.recipe import Training
from crosstower.training.optimizers import build_optimizers, clip_gradients, count_rows

FIELDS, NUMBERS, BATCH = 26, 13, 4096


class Stepper:
    """A DCN-V2 with `ids` ids over 26 fields, ready to step on random rows."""

    def __init__(self, ids: int, optimizer: str) -> None:
        torch.manual_seed(0)
        size = ids // FIELDS
        codes = tuple(CodeField(f"C{i}", RESERVED_CODES + size, f"C{i}") for i in range(FIELDS))
        numbers = tuple(f"I{i}" for i in range(NUMBERS))
        self.layout = Layout(codes, numbers, (), (Head("click", "binary"),))
        self.model = build(self.layout, {"name": "dcn_v2", "embedding_dim": 16})
        settings = Training(embedding_optimizer=optimizer)
        self.optimizers = build_optimizers(self.model, settings)
        count_rows(self.optimizers, torch.tensor([BATCH]))
        # The same rows for every vocabulary: as many distinct ids are touched.
        rows = torch.randint(0, 38_000, (BATCH, FIELDS)) * (size // 38_000) + RESERVED_CODES
        labels = (torch.rand(BATCH, 1) < 0.2).float()
        self.batch = Batch(rows.int(), torch.randn(BATCH, NUMBERS), {}, labels)

    def step(self) -> float:
        start = time.perf_counter()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        logits = self.model(self.batch)
        loss = task_losses(logits, self.batch.labels, self.layout.heads)[0].sum()
        loss.backward()
        clip_gradients(self.optimizers, 10.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return time.perf_counter() - start


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks vocabulary", description=__doc__)
    parser.add_argument("--ids", type=int, nargs=2, default=[1_000_000, 10_000_000])
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args(arguments)
    print(describe(batch=BATCH, fields=FIELDS, dim=16, steps=options.steps))
    print("| optimiser | ids | ms per step (median) | rows/s | ratio |\n|---|---|---|---|---|")
    for optimizer in ("lazy_adam", "rowwise_adagrad"):
        steppers = [Stepper(ids, optimizer) for ids in options.ids]
        times: list[list[float]] = [[], []]
        for turn in range(options.steps + 5):  # alternating, so that both see the same machine
            for place, stepper in enumerate(steppers):
                seconds = stepper.step()
                if turn >= 5:
                    times[place].append(seconds)
        medians = [statistics.median(t) for t in times]
        for ids, median in zip(options.ids, medians, strict=True):
            speed, ratio = BATCH / median, median / medians[0]
            print(f"| {optimizer} | {ids:,} | {median * 1e3:.1f} | {speed:,.0f} | {ratio:.2f} |")
