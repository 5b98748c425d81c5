"""A two-tower model: training rows/s and ranking the whole catalogue, contenders side by side.

In-batch softmax: every row against all items of its batch. Crosstower (logQ, accidental hits
masked) trains by its own trainer and ranks all items for the held-out row of every user, as after
each epoch of `fit`, with the user's history excluded. For comparison: the same loss written with
nn.Embedding and Adam, as a tutorial does, and torch-rechub's DSSM, in its own environment (--peer
PYTHON; see benchmarks/train.py). All run in turn, in separate processes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.machine import describe
from crosstower.data.sources.source import FrameSource
from crosstower.models.registry import build
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.retrieval_data import RetrievalData, prepare_retrieval
from crosstower.retrieval.job import RetrievalJob
from crosstower.training.trainer import Trainer

PEER = Path(__file__).parent / "contenders" / "rechub_dssm.py"
DIM, BATCH, K = 64, 2_048, 20


class Silent:
    """Observes training without any output."""

    def begin(self, **_words) -> None: ...

    def advance(self, **_words) -> None: ...

    def finish(self, record) -> None: ...


def interactions(rows: int, users: int, items: int) -> pl.DataFrame:
    """Return rows in which item i of n is seen with a frequency of about 1 / i^0.8."""
    random = np.random.default_rng(0)
    share = 1.0 / np.arange(1, items + 1) ** 0.8
    item = random.choice(items, rows, p=share / share.sum())
    user = random.integers(0, users, rows)
    return pl.DataFrame({"user": user, "item": item, "time": np.arange(rows)})


def recipe() -> Recipe:
    return Recipe.model_validate(
        {
            "data": {"split": {"kind": "leave_last_out", "group": "user", "time": "time"}},
            "schema": {"columns": {"user": "categorical", "item": "categorical"}},
            "model": {"item": ["item"], "embedding_dim": DIM, "dim": DIM},
            "training": {"epochs": 1, "batch_size": BATCH},
            "retrieval": {"user": "user", "item": "item", "time": "time", "k": [K]},
        }
    )


def read(path: str) -> RetrievalData:
    data = np.load(path)
    frame = pl.DataFrame({name: data[f"all_{name}"] for name in ("user", "item", "time")})
    return prepare_retrieval(recipe(), FrameSource(frame))


def ours(path: str, seed: int) -> dict:
    """Train one epoch by the library's own trainer."""
    data = read(path)
    job = RetrievalJob(recipe())
    job.data, job.batch_size = data, BATCH
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        position = Trainer(
            model=build(data.encoder.layout, recipe().model),
            objective=job.objective(),
            settings=recipe().training,
            batches=job.batches(seed),
            validate=job.validate,
            monitor=job.monitor[0],
            higher_is_better=True,
            folder=Path(folder),
            observer=Silent(),
            device=torch.device("cpu"),
        ).fit()
    record = position.history[0]
    return {
        "rows_per_second": record["rows_per_second"],
        "ranking_seconds": record["validation_seconds"],
        "ranked": len(data.evaluation["valid"].users),
        "share": record["validation_seconds"] / record["seconds"],
        "wait_share": record["wait_share"],
        "precision": record["precision"],
    }


class Plain(nn.Module):
    """The loss as a tutorial writes it, without an optimiser that knows of sparse rows."""

    def __init__(self, users: int, items: int, log_q: torch.Tensor) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(users, DIM), nn.Embedding(items, DIM)
        self.log_q = log_q

    def loss(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        query = F.normalize(self.users(user), dim=1)
        logits = query @ F.normalize(self.items(item), dim=1).T / 0.3 - self.log_q[item]
        same = item.unsqueeze(0) == item.unsqueeze(1)
        logits = logits.masked_fill(same.fill_diagonal_(False), float("-inf"))
        return F.cross_entropy(logits, torch.arange(len(item)))


def plain(path: str, seed: int) -> dict:
    data = np.load(path)
    user, item = (torch.from_numpy(data[name]) for name in ("user", "item"))
    users, items, *_ = (int(v) for v in data["settings"])
    torch.manual_seed(seed)
    counts = torch.bincount(item, minlength=items).clamp(min=1)
    model = Plain(users, items, (counts / counts.sum()).log().float())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    start = time.perf_counter()
    for rows in torch.randperm(len(user)).split(BATCH):
        optimizer.zero_grad(set_to_none=True)
        model.loss(user[rows], item[rows]).backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    with torch.no_grad():
        table = F.normalize(model.items.weight, dim=1)
        for part in torch.arange(users).split(1024):
            (F.normalize(model.users(part), dim=1) @ table.T).topk(K)
    ranking = time.perf_counter() - start
    return {
        "rows_per_second": len(user) / seconds,
        "ranking_seconds": ranking,
        "ranked": users,
    }


CONTENDERS = {"crosstower": ours, "nn.Embedding + Adam": plain}


def write(path: Path, rows: int, users: int, items: int) -> None:
    """Write all rows for our own split, and its training rows as places for the others."""
    frame = interactions(rows, users, items)
    everything = {f"all_{name}": frame[name].to_numpy() for name in frame.columns}
    data = prepare_retrieval(recipe(), FrameSource(frame))
    user = np.repeat(np.arange(len(data.rows.users)), data.train.lengths())
    settings = np.array([len(data.rows.users), len(data.items), DIM, BATCH, K])
    np.savez(path, user=user, item=data.train.items, settings=settings, **everything)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks retrieve", description=__doc__)
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--users", type=int, nargs="+", default=[30_000, 400_000])
    parser.add_argument("--items", type=int, nargs="+", default=[41_000, 400_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", help="Python of an environment with torch-rechub.")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # what a turn's process runs
    options = parser.parse_args(arguments)
    if options.one:
        name, path, seed = options.one
        print(json.dumps(CONTENDERS[name](path, int(seed))))
        return
    print(describe(rows=options.rows, dim=DIM, batch=BATCH, rounds=options.rounds))
    for users, items in zip(options.users, options.items, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pairs.npz"
            write(path, options.rows, users, items)
            show(path, options, f"{users:,} users, {items:,} items")


def show(path: Path, options: argparse.Namespace, title: str) -> None:
    names = [*CONTENDERS, *(["torch-rechub DSSM"] if options.peer else [])]
    found: dict[str, list[dict]] = {name: [] for name in names}
    for seed in range(options.rounds):
        for name in names:
            found[name].append(turn(name, path, seed, options.peer))
    print(f"{title}\n\n| contender | rows/s | ours is | ranked a second |\n|---|---|---|---|")
    for name in names:
        speeds = [one["rows_per_second"] for one in found[name]]
        ratio = statistics.median(
            a["rows_per_second"] / b for a, b in zip(found["crosstower"], speeds, strict=True)
        )
        ranked = statistics.median(one["ranked"] / one["ranking_seconds"] for one in found[name])
        spread = f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})"
        print(f"| {name} | {spread} | {ratio:.2f} times | {ranked:,.0f} |", flush=True)
    own = found["crosstower"]
    seconds, share, wait = (median(own, k) for k in ("ranking_seconds", "share", "wait_share"))
    print(
        f"\nRanking the catalogue for every held-out row took {seconds:.1f} s, {share:.1%} of an"
        f" epoch; waiting for batches {wait:.1%} of it; {own[0]['precision']}\n"
    )


def median(found: list[dict], key: str) -> float:
    return statistics.median(one[key] for one in found)


def turn(name: str, path: Path, seed: int, peer: str | None) -> dict:
    """Run one contender in a process of its own."""
    if name in CONTENDERS:
        command = [sys.executable, "-m", "benchmarks", "retrieve", "--one", name, path, str(seed)]
    else:
        command = [str(peer), PEER, path, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(sys.argv[1:])
