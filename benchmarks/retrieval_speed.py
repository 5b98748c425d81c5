"""Training and full ranking of a two-tower model: 800 k interactions, 30 k users, 41 k items.

Training: rows/s of the trainer's step beside the same loss (in-batch softmax, logQ, accidental hits
masked) written with nn.Embedding and Adam, in turn. Ranking: all items for all users, seen ones
left out.
"""

import argparse
import time

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.machine import describe
from crosstower.data.pairs import PairBatches
from crosstower.data.retrieval_data import RetrievalData, prepare_retrieval
from crosstower.data.sources import FrameSource
from crosstower.models.registry import build
from crosstower.objectives.candidates import RetrievalObjective
from crosstower.recipe import Recipe
from crosstower.retrieve.answers import answers
from crosstower.train.optim import build_optimizers, clip_gradients
from crosstower.train.precision import autocast, choose_precision

USERS, ITEMS, DIM, BATCH = 30_000, 41_000, 64, 2_048


def interactions(rows: int) -> pl.DataFrame:
    random = np.random.default_rng(0)
    share = 1.0 / np.arange(1, ITEMS + 1) ** 0.8
    item = random.choice(ITEMS, rows, p=share / share.sum())
    item[:ITEMS] = np.arange(ITEMS)
    user = random.integers(0, USERS, rows)
    user[:USERS] = np.arange(USERS)
    return pl.DataFrame({"user": user, "item": item, "time": np.arange(rows)})


def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "data": {"split": {"kind": "leave_last_out", "group": "user", "time": "time"}},
            "schema": {"columns": {"user": "categorical", "item": "categorical"}},
            "model": {"item": ["item"], "embedding_dim": DIM, "dim": DIM},
            "retrieval": {"user": "user", "item": "item", "time": "time"},
        }
    )


class Ours:
    """The step that `fit` takes."""

    def __init__(self, data: RetrievalData) -> None:
        torch.manual_seed(0)
        section = recipe().retrieval
        self.model = build(data.encoder.layout, recipe().model)
        self.objective = RetrievalObjective(
            section,
            data.item_batch,
            batch_size=BATCH,
            top_lists=lambda _m, _k: torch.empty(0),
            user_rows=torch.from_numpy(data.train.lengths()),
        )
        self.optimizers = build_optimizers(self.model, embedding_lr=1e-3)
        batch = next(PairBatches(data, BATCH, seed=0).epoch())
        cpu = torch.device("cpu")
        self.precision = choose_precision(self.model, batch, self.objective.loss, cpu)[0]

    def step(self, batch) -> float:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        with autocast(torch.device("cpu"), self.precision):
            loss = self.objective.loss(self.model, batch)
        loss.backward()
        clip_gradients(self.optimizers, 10.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.detach())


class Plain:
    """The same loss as a tutorial writes it."""

    def __init__(self, data: RetrievalData) -> None:
        torch.manual_seed(0)
        users, items = len(data.rows.users), len(data.items)
        self.users, self.items = nn.Embedding(users, DIM), nn.Embedding(items, DIM)
        parameters = [*self.users.parameters(), *self.items.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=1e-3)
        counts = torch.from_numpy(data.counts).clamp(min=1)
        self.log_q = (counts / counts.sum()).log().float()

    def step(self, batch) -> float:
        query = F.normalize(self.users(batch.user), dim=1)
        item = F.normalize(self.items(batch.item), dim=1)
        logits = query @ item.T / 0.3 - self.log_q[batch.item]
        same = batch.item.unsqueeze(0) == batch.item.unsqueeze(1)
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, float("-inf"))
        loss = F.cross_entropy(logits, torch.arange(len(batch)))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks retrieval_speed")
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(describe(rows=options.rows, users=USERS, items=ITEMS, dim=DIM, batch=BATCH))
    start = time.perf_counter()
    data = prepare_retrieval(recipe(), FrameSource(interactions(options.rows)))
    print(f"prepared in {time.perf_counter() - start:.1f} s")
    ours, plain = Ours(data), Plain(data)
    speeds = {"crosstower": [], "nn.Embedding + Adam": []}
    for turn in range(options.rounds):
        for name, one in zip(speeds, (ours, plain), strict=True):
            stream = PairBatches(data, BATCH, seed=turn).epoch()
            batches = (next(stream) for _ in range(options.steps))
            start = time.perf_counter()
            for batch in batches:
                one.step(batch)
            speeds[name].append(options.steps * BATCH / (time.perf_counter() - start))
    for name, found in speeds.items():
        print(f"{name}: {np.median(found):,.0f} rows/s (of {options.rounds} rounds, median)")
    ratio = np.median(np.divide(*speeds.values()))
    print(f"ratio {ratio:.2f}, {ours.precision}")
    start = time.perf_counter()
    shown = answers(ours.model, data, "test", 20)
    seconds = time.perf_counter() - start
    print(f"ranked {ITEMS:,} items for {len(shown):,} users in {seconds:.1f} s")
