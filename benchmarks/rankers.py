"""Rankers side by side at an equal number of dense parameters (± 5 %), mean ± sd over seeds.

    python -m benchmarks rankers [--data adult ...] [--seeds 5] [--out runs/rankers]

`adult` and `movielens` are the examples without hashed crosses, so that all models read the same
columns; `movielens_history` adds the last 50 films that the user liked before the row, pooled by
target attention. `second_order` is a click log drawn from a factorisation machine, whose best AUC
is known; `--rows` is its size. Each model stops early by its validation loss, and the test rows are
read once per training run. With several `--rates`, each model uses the learning rate with the
lowest validation loss of the first seed.

Each training run writes OUT/DATA/MODEL/SEED-RATE.json. Existing files are kept, so that an
interrupted benchmark continues; `--table` prints their results and trains nothing.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.metrics import roc_auc_score

from benchmarks.machine import describe, example
from benchmarks.ranker_sizes import DIM, FIXED, dense_parameters, sized, target_of
from benchmarks.second_order_log import SCHEMA, second_order_log
from crosstower.data.counters.counted_source import counted_training_source
from crosstower.fitting.fit import fit
from crosstower.ranking.data import prepare
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.schema import Schema

LINEAR = "logistic_regression"
HISTORY = (
    "data.events=rows",
    "data.time=timestamp",
    "schema.columns.liked_before.kind=sequence",
    "schema.columns.liked_before.table=movie_id",
    "schema.columns.liked_before.event=liked",
    "schema.columns.liked_before.by=user_id",
    "schema.columns.liked_before.max_len=50",
    "schema.columns.liked_before.pooling=target",
)


@dataclass(frozen=True)
class Data:
    """A recipe without a model; the best possible AUC where it is known."""

    recipe: Recipe
    best_auc: float | None = None


@dataclass(frozen=True)
class Job:
    """Training runs of one model on one data set."""

    data: Data
    model: dict[str, Any]
    folder: Path
    options: argparse.Namespace

    def results(self) -> list[dict[str, Any]]:
        """Return the results of the seeds at the best rate, trained unless they exist."""
        first = [found for rate in self.options.rates if (found := self.result(0, rate))]
        if not first:
            return []
        rate = min(first, key=lambda found: found["validation_log_loss"])["settings"]["rate"]
        seeds = range(self.options.seeds)
        return [found for seed in seeds if (found := self.result(seed, rate))]

    def result(self, seed: int, rate: float) -> dict[str, Any] | None:
        """Return the result of one training run; None if it is missing and must not be made."""
        path, options = self.folder / f"{seed}-{rate:g}.json", self.options
        settings = {
            "model": json.loads(json.dumps(self.model)),
            "rate": rate,
            "seed": seed,
            "epochs": options.epochs,
            "patience": options.patience,
            "rows": options.rows if self.folder.parent.name == "second_order" else None,
        }
        if path.is_file():
            found = json.loads(path.read_text())
            if found["settings"] != settings:
                raise SystemExit(f"{path} has other settings; choose another --out, or remove it")
            return found
        if options.table:
            return None
        found = {"settings": settings, **trained(self.data.recipe, settings)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1) + "\n")
        return found


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rankers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--models", nargs="+", choices=[LINEAR, *FIXED], default=[LINEAR, *FIXED])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.001])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--patience", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000, help="Of second_order.")
    parser.add_argument("--out", type=Path, default=Path("runs/rankers"))
    parser.add_argument("--table", action="store_true", help="Train nothing.")
    options = parser.parse_args(arguments)
    settings = {k: v for k, v in vars(options).items() if k not in ("data", "models", "table")}
    print(describe(embedding_dim=DIM, **settings))
    for name in options.data:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, DATA[name](Path(folder), options.rows), Path(folder), options)


def compare(name: str, data: Data, folder: Path, options: argparse.Namespace) -> None:
    source = counted_training_source(data.recipe, None)
    encoder = prepare(data.recipe, source, spill=folder / "spill").encoder
    layout, target = encoder.layout, target_of(encoder.layout)
    best = "" if data.best_auc is None else f", best possible AUC {data.best_auc:.4f}"
    print(f"{name}: {target:,} dense parameters ± 5 %{best}\n")
    print("| model | dense parameters | AUC | log loss | rate | best epoch | seeds |")
    print("|---|---|---|---|---|---|---|")
    for model in options.models:
        section = {"name": LINEAR} if model == LINEAR else sized(model, layout, target)
        size = "–" if model == LINEAR else f"{dense_parameters(layout, section):,}"
        found = Job(data, section, options.out / name / model, options).results()
        print(f"| {model} | {size} | {cells(found)} | {len(found)} |", flush=True)
    print(flush=True)


def trained(recipe: Recipe, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the test metrics of one training run at its best checkpoint."""
    model = settings["model"]["name"]
    training = {
        "training.learning_rate": settings["rate"],
        "training.seed": settings["seed"],
        "training.epochs": settings["epochs"],
        "training.patience": settings["patience"],
    }
    section = recipe.model_copy(update={"model": settings["model"]})
    with tempfile.TemporaryDirectory() as folder:
        run = fit(section, overrides=training, out=Path(folder) / "run", quiet=True)
        (task,) = run.metrics["tasks"].values()
        (record,) = run.metrics["training"][model].values()
    found = {metric: task[model][metric]["mean"] for metric in ("auc", "log_loss")}
    kept = {key: record[key] for key in ("best_epoch", "epochs", "seconds", "rows_per_second")}
    return {**found, "validation_log_loss": record["best_value"], **kept}


def cells(found: list[dict[str, Any]]) -> str:
    if not found:
        return "– | – | – | –"
    metrics = [spread([one[metric] for one in found]) for metric in ("auc", "log_loss")]
    epochs = statistics.mean(one["best_epoch"] for one in found)
    return " | ".join([*metrics, f"{found[0]['settings']['rate']:g}", f"{epochs:.1f}"])


def spread(values: list[float]) -> str:
    sd = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{sd}"


def of_example(name: str, folder: Path, _rows: int, *, overrides: Sequence[str] = ()) -> Data:
    """Return an example without its hashed crosses, which only wide sides read."""
    recipe = load_recipe(example(name, folder), overrides)
    plain = recipe.schema_.plain()
    plain["columns"] = {n: c for n, c in plain["columns"].items() if kind_of(c) != "cross"}
    evaluation = recipe.evaluation.model_copy(
        update={"baselines": (), "slices": (), "importance": None}
    )
    changes = {"schema_": Schema.model_validate(plain), "evaluation": evaluation}
    return Data(recipe.model_copy(update=changes))


def kind_of(column: Any) -> str:
    return column if isinstance(column, str) else column["kind"]


def second_order(folder: Path, rows: int) -> Data:
    """Return a click log; one fifth of the rows is for validation and one fifth for testing."""
    frame, probability = second_order_log(rows)
    part = rows // 5
    parts = {"valid": slice(0, part), "test": slice(part, 2 * part), "path": slice(2 * part, rows)}
    paths = {name: str(folder / f"{name}.parquet") for name in parts}
    for name, chosen in parts.items():
        frame[chosen].write_parquet(paths[name])
    recipe = {"data": paths, "schema": SCHEMA, "evaluation": {"baselines": [], "importance": False}}
    best = roc_auc_score(frame[parts["test"]]["click"], probability[parts["test"]])
    return Data(Recipe.model_validate({"name": "second_order", **recipe}), float(best))


DATA = {
    "adult": partial(of_example, "adult"),
    "movielens": partial(of_example, "movielens"),
    "movielens_history": partial(of_example, "movielens", overrides=HISTORY),
    "second_order": second_order,
}
