"""Interactions of ids alone: our retriever and other models, with the same number of trials.

Each data set has given train, valid and test files without an order of rows. A model with settings
draws `--trials` of them at random, fits each on the train rows, and takes the one with the best
NDCG@20 on the valid rows; early stopping uses the same metric. It is then fitted on train and valid
rows together, once per seed, and tested once per fit: Recall@20 and NDCG@20 over the catalogue
without the user's train and valid items. "defaults" is the recipe that `crosstower init` writes for
the file, without a trial.

Every trial and every test is a JSON file in `--store`. What is there is not repeated, so the
benchmark can be interrupted and continued, one model or one data set at a time.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from benchmarks.ids_only_peers import (
    PEERS,
    Peer,
    Score,
    Settings,
    Table,
    Trial,
    log_uniform,
    metrics,
    pick,
)
from benchmarks.machine import data_folder, describe

DATA = ("lastfm-unordered", "ml-1m-unordered")
DEFAULTS, TUNED = "crosstower, defaults", "crosstower, tuned"
GRAPH = "crosstower, graph layers"
SPLITS = ("train", "valid", "test")


def main(arguments: list[str]) -> None:
    names = list(MODELS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks ids_only", description=__doc__)
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--models", nargs="+", default=names, metavar="NAME", choices=names)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--first", type=json.loads, help="JSON, settings of the first trial")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--store", type=Path, default=Path("ids_only"))
    parser.add_argument("--table", action="store_true", help="print what the store has")
    options = parser.parse_args(arguments)
    print(describe(trials=options.trials, seeds=options.seeds, store=options.store))
    for name in options.data:
        if not options.table:
            data = read(data_folder() / name)
            for model in options.models:
                measure(data, model, options)
        show(options.store / Path(name).name, names)


def read(folder: Path) -> Table:
    frames = {split: pl.read_parquet(folder / f"{split}.parquet") for split in SPLITS}
    users, items = (pl.concat([f[c] for f in frames.values()]).unique().sort().to_numpy()
                    for c in ("user", "item"))  # fmt: skip
    shape = (len(users), len(items))
    matrices = {}
    for split, frame in frames.items():
        places = np.searchsorted(users, frame["user"]), np.searchsorted(items, frame["item"])
        ones = np.ones(frame.height, np.float32)
        matrices[split] = sparse.csr_array((ones, places), shape=shape)
    return Table(folder.name, folder, **matrices)


def measure(data: Table, name: str, options: argparse.Namespace) -> None:
    """Draw, fit and test one model, as far as the store does not have it."""
    folder, model = place(options.store / data.name, name), MODELS[name]
    best: dict[str, Any] = {"settings": {}, "found": {}}
    random, trials = np.random.default_rng(1), []
    for number in range(options.trials if model.draw else 0):
        settings = model.draw(random)
        if number == 0 and options.first is not None:
            settings = options.first
        tried = once(folder / f"trial-{number}.json", partial(model.tried, data, settings))
        trials.append(tried)
    if trials:
        best = max(trials, key=lambda t: t["valid"]["ndcg"])
    for seed in range(options.seeds if model.seeds else 1):
        once(folder / f"seed-{seed}.json", partial(model.tested, data, best, seed))


def place(store: Path, name: str) -> Path:
    return store / name.replace(", ", "-").replace(" ", "_")


def once(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the stored result of some work, or do it and store it with its seconds."""
    if not path.is_file():
        start = time.perf_counter()
        found = work() | {"seconds": round(time.perf_counter() - start, 1)}
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(found, indent=1))
        aside.rename(path)
        print(path.parent.name, path.stem, json.dumps(found), flush=True)
    return json.loads(path.read_text())


@dataclass(frozen=True)
class Model:
    """How a model is tried on the valid rows and tested; without `draw` it is not tuned."""

    tried: Callable[..., dict[str, Any]]
    tested: Callable[..., dict[str, Any]]
    draw: Callable[[np.random.Generator], Settings] | None
    seeds: bool


def peer_tried(peer: Peer, data: Table, settings: Settings) -> dict[str, Any]:
    def ndcg(score: Score) -> float:
        return metrics(score, data.train, data.valid)["ndcg"]

    try:
        fitted = peer.fit(data.train, settings, Trial(0, ndcg))
    except Exception as error:
        if type(error).__name__ != "ModelFitError":  # of implicit: its factors overflow
            raise
        lost = {"recall": 0.0, "ndcg": 0.0}
        return {"settings": settings, "found": {}, "valid": lost, "error": str(error)}
    found = metrics(fitted.score, data.train, data.valid)
    return {"settings": settings, "found": fitted.found, "valid": found}


def peer_tested(peer: Peer, data: Table, best: dict[str, Any], seed: int) -> dict[str, Any]:
    known = sparse.csr_array(data.train + data.valid)
    fitted = peer.fit(known, best["settings"] | best["found"], Trial(seed))
    return {"settings": best["settings"], "test": metrics(fitted.score, known, data.test)}


def ours_drawn(random: np.random.Generator) -> Settings:
    width = pick(random, (64, 128, 256))
    return {
        "model.dim": width,
        "model.embedding_dim": width,
        "training.embedding_learning_rate": log_uniform(random, 0.002, 0.03),
        "training.embedding_weight_decay": pick(random, (0.0, 0.001, 0.01)),
        "training.batch_size": pick(random, (1024, 2048, 4096)),
        "training.ema_decay": pick(random, (0.99, 0.995, 0.998, 0.999)),
        "retrieval.start": pick(random, ("spectral", "random")),
        "retrieval.history.folds": pick(random, (2, 3, 5)),
        "model.temperature": log_uniform(random, 0.3, 2.0),
    }


def graph_drawn(random: np.random.Generator) -> Settings:
    """Settings of LightGCN: user and item embeddings, with layers over the training graph."""
    width = pick(random, (64, 128, 256))
    return {
        "schema.columns": "{user: categorical, item: categorical}",
        "retrieval.history": "{}",
        "model.graph_layers": pick(random, (1, 2, 3)),
        "model.dim": width,
        "model.embedding_dim": width,
        "training.embedding_learning_rate": log_uniform(random, 0.002, 0.03),
        "training.embedding_weight_decay": pick(random, (0.0, 0.001, 0.01)),
        "training.batch_size": pick(random, (1024, 4096)),
        "model.temperature": log_uniform(random, 0.1, 1.0),
    }


def ours_tried(data: Table, settings: Settings) -> dict[str, Any]:
    found = fit_ours(data, settings, 0, refit=False)
    return {"settings": settings, "found": {}, "valid": found["valid"]}


def ours_tested(data: Table, best: dict[str, Any], seed: int) -> dict[str, Any]:
    return {"settings": best["settings"], **fit_ours(data, best["settings"], seed, refit=True)}


def fit_ours(data: Table, settings: Settings, seed: int, *, refit: bool) -> dict[str, Any]:
    """Fit the recipe that `crosstower init` writes for the train file, with changed settings."""
    from crosstower.cli.init.retrieval import starter_retrieval_recipe
    from crosstower.data.sources.source import open_source
    from crosstower.fitting.fit import fit
    from crosstower.recipe.loading import parse_recipe
    from crosstower.training.history import history

    path = data.folder / "train.parquet"
    text = starter_retrieval_recipe(
        open_source(path), path=str(path), name="ours", item="item", user="user"
    )
    text = text.replace("  history: history\n", "  history: {column: history}\n")
    files = {f"data.{split}": data.folder / f"{split}.parquet" for split in SPLITS[1:]}
    fixed = {
        **files,
        "training.seed": seed,
        "training.refit": str(refit).lower(),
        "training.monitor": "retrieval.ndcg@20",
        "retrieval.valid_queries": "null",
        "retrieval.k": "[20]",
        "retrieval.baselines": "[popularity]",
    }
    recipe = parse_recipe(
        without_split(text), [f"{key}={value}" for key, value in {**fixed, **settings}.items()]
    )
    with TemporaryDirectory() as folder:
        run = fit(recipe, out=Path(folder) / "run", quiet=True)
        records = history(run, "two_tower", seed)
        best = max(records, key=lambda r: r["valid"]["retrieval.ndcg@20"])
        test = run.metrics["retrieval"]["two_tower"]
        return {
            "valid": {n: best["valid"][f"retrieval.{n}@20"] for n in ("recall", "ndcg")},
            "test": {n: test[f"{n}@20"]["mean"] for n in ("recall", "ndcg")},
            "epochs": len(records),
            "best_epoch": best["epoch"] + 1,
            "seconds_to_best": round(sum(map(spent, records[: best["epoch"] + 1])), 1),
        }


def spent(record: dict[str, Any]) -> float:
    """Return the seconds of an epoch, with its validation."""
    return record["seconds"] + record.get("validation_seconds", 0.0)


def without_split(text: str) -> str:
    return "".join(ln for ln in text.splitlines(keepends=True) if not ln.startswith("  split:"))


def show(store: Path, names: list[str]) -> None:
    """Print the table of a data set."""
    print(
        f"\n{store.name}\n| model | trials | valid N@20 | test R@20 | test N@20 | seconds per fit |"
    )
    print("|---|---|---|---|---|---|")
    for name in names:
        folder = place(store, name)
        tests = [json.loads(p.read_text()) for p in sorted(folder.glob("seed-*.json"))]
        trials = [json.loads(p.read_text()) for p in folder.glob("trial-*.json")]
        if not tests:
            continue
        valid = max((t["valid"]["ndcg"] for t in trials), default=None)
        if valid is None and "valid" in tests[0]:
            valid = statistics.mean(t["valid"]["ndcg"] for t in tests)
        cells = [str(len(trials) or ""), "" if valid is None else f"{valid:.4f}"]
        cells += [spread([t["test"][n] for t in tests]) for n in ("recall", "ndcg")]
        cells.append(f"{statistics.mean(t['seconds'] for t in tests):.0f}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def spread(values: list[float]) -> str:
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"


MODELS = {
    DEFAULTS: Model(ours_tried, ours_tested, None, seeds=True),
    TUNED: Model(ours_tried, ours_tested, ours_drawn, seeds=True),
    GRAPH: Model(ours_tried, ours_tested, graph_drawn, seeds=True),
} | {
    peer.name: Model(partial(peer_tried, peer), partial(peer_tested, peer), peer.draw, peer.seeds)
    for peer in PEERS
}
