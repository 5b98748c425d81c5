"""Single-task models, shared bottom, MMoE and PLE side by side at equal numbers of parameters.

Every model has as many dense parameters as a shared bottom of 128 and 64 units for all tasks; a
single-task model has them for its task alone. All stop early by the loss of the first task, the
main one (a single-task model by that of its own).
"""

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.machine import describe, example
from benchmarks.quality import number
from crosstower.data.datasets import worlds
from crosstower.data.encoders.encoder import Encoder
from crosstower.data.reading import source_of
from crosstower.fitting.fit import fit
from crosstower.models.registry import build
from crosstower.nn.embedding import EmbeddingStore
from crosstower.ranking.data import prepare
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Data, Recipe, Training
from crosstower.recipe.schema import Schema

EXAMPLES = ("census_tasks", "clothing_tasks")
WORLDS = ("feed_engagement", "watch_next", "watch_next_noise", "watch_next_light_noise")
METRIC = {"binary": "auc", "regression": "rmse", "rating": "rmse"}
MODELS = {"shared_bottom": {}, "mmoe": {"experts": 4}, "ple": {}}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks multitask", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", nargs="+", default=[*EXAMPLES, *WORLDS])
    options = parser.parse_args(arguments)
    print(describe(seeds=options.seeds))
    for name in options.data:
        with tempfile.TemporaryDirectory() as folder:
            compare(name, recipe_of(name, Path(folder)), options.seeds, Path(folder))


def recipe_of(name: str, folder: Path) -> Recipe:
    if name in EXAMPLES:
        recipe = load_recipe(example(name, folder))
    elif name == "feed_engagement":
        recipe = Recipe(
            name=name,
            data=Data(path=f"world:{name}", rows=300_000),
            schema=worlds.make(name, rows=1).schema,
            # Both tasks count, and all that there is to learn of an id is small.
            training=Training(monitor="all.loss", embedding_learning_rate=3e-4),
        )
    else:
        recipe = watch_next(
            weight={"watch_next_noise": 1.0, "watch_next_light_noise": 0.1}.get(name)
        )
    evaluation = recipe.evaluation.model_copy(update={"baselines": (), "slices": ()})
    return recipe.model_copy(update={"evaluation": evaluation})


def watch_next(*, weight: float | None) -> Recipe:
    """Return watch or not, and for how long.

    How long a watched video is watched is noise in this world. With a weight, that noise alone is
    the second task; without, it is the time of all rows, which tells watched from not.
    """
    schema = worlds.make("watch_next", rows=10).schema.plain()
    if weight is not None:
        noise = {"kind": "regression", "when": "did_watch", "weight": weight}
        schema["tasks"]["watch_time"] = noise
    return Recipe(
        name="watch_next",
        data=Data(path="world:watch_next", rows=50_000),
        schema=Schema.model_validate(schema),
        training=Training(patience=10, epochs=40 if weight is None else 20),
        # The mean of a logarithm is below the logarithm of the mean.
        calibration=Calibration(tasks={"watch_time": "isotonic"}),
    )


def compare(name: str, recipe: Recipe, seeds: int, folder: Path) -> None:
    encoder = prepare(recipe, source_of(recipe.data), spill=folder / "spill").encoder
    target = dense_parameters(encoder, options("shared_bottom", 128))
    rows, tasks = [], list(recipe.schema_.tasks)
    for task in tasks:
        one = only(recipe, task)
        alone = prepare(one, source_of(one.data), spill=folder / "spill").encoder
        model = sized("shared_bottom", alone, target)
        found = trained(one, model, seeds, folder / f"single-{task}")
        rows.append((f"{task} alone", dense_parameters(alone, model), found))
    for kind in MODELS:
        model = sized(kind, encoder, target)
        found = trained(recipe, model, seeds, folder / kind)
        rows.append((kind, dense_parameters(encoder, model), found))
    show(name, recipe, rows)


def only(recipe: Recipe, task: str) -> Recipe:
    """Return the recipe of one task; the event of its condition is needed as well."""
    schema = recipe.schema_.plain()
    when = schema["tasks"][task].get("when")
    kept = [n for n in schema["tasks"] if n in (task, when)]
    schema["tasks"] = {n: schema["tasks"][n] for n in [task, *kept]}
    calibrated = {n: m for n, m in recipe.calibration.tasks.items() if n in schema["tasks"]}
    changes = {
        "schema_": Schema.model_validate(schema),
        "calibration": recipe.calibration.model_copy(update={"tasks": calibrated}),
    }
    return recipe.model_copy(update=changes)


def options(kind: str, width: int) -> dict:
    trunk = {"name": "mlp", "hidden": (width, max(width // 2, 1))}
    return {"name": kind, "trunk": trunk, **MODELS[kind]}


def dense_parameters(encoder: Encoder, model: dict) -> int:
    """Return the number of parameters that are not embeddings."""
    with torch.device("meta"):
        network = build(encoder.layout, model)
    stores = [m for m in network.modules() if isinstance(m, EmbeddingStore)]
    tables = sum(t.numel() for store in stores for t in store.tables.values())
    return sum(p.numel() for p in network.parameters()) - tables


def sized(kind: str, encoder: Encoder, target: int) -> dict:
    """Return the model whose number of dense parameters is nearest to the target."""
    widths = [options(kind, width) for width in range(8, 257, 2)]
    return min(widths, key=lambda model: abs(dense_parameters(encoder, model) - target))


def trained(recipe: Recipe, model: dict, seeds: int, folder: Path) -> dict:
    changed = recipe.model_copy(update={"model": model})
    run = fit(changed, seeds=seeds, out=folder, quiet=True)
    return {t: dict(m) for t, m in run.metrics["tasks"].items()}


def show(name: str, recipe: Recipe, rows: list) -> None:
    kinds = recipe.schema_.kinds()
    titles = [f"{task} {METRIC[kind].upper()}" for task, kind in kinds.items()]
    print(f"{name}\n| model | dense parameters | {' | '.join(titles)} |")
    print(f"|---|---|{'---|' * len(kinds)}")
    for title, parameters, found in rows:
        cells = [
            number(next(iter(found[task].values()))[METRIC[kind]]) if shown(title, task) else ""
            for task, kind in kinds.items()
        ]
        print(f"| {title} | {parameters:,} | {' | '.join(cells)} |")
    best = [best_of(rows, task, METRIC[kind]) for task, kind in kinds.items()]
    if any(best):
        print(f"| best possible | | {' | '.join(best)} |")
    print(verdict(rows, next(iter(kinds)), METRIC[next(iter(kinds.values()))]))
    print(flush=True)


def shown(title: str, task: str) -> bool:
    """A single-task run of a conditional task also has its event, which is not compared."""
    return not title.endswith(" alone") or title == f"{task} alone"


def best_of(rows: list, task: str, metric: str) -> str:
    best = rows[-1][2][task].get("Best possible")
    return number(best[metric]) if best else ""


def verdict(rows: list, task: str, metric: str) -> str:
    """Say whether any multi-task model is worse on the main task by more than one sd."""
    found = {t: next(iter(m[task].values()))[metric] for t, _, m in rows if task in m}
    alone = found[f"{task} alone"]
    words = []
    for title in MODELS:
        gap = found[title]["mean"] - alone["mean"]
        gap = gap if metric == "auc" else -gap
        sd = max(alone["sd"] or 0.0, found[title]["sd"] or 0.0)
        words.append(f"{title} {gap:+.4f} ({gap / sd if sd else 0.0:+.1f} sd)")
    return f"main task {task}, better (+) or worse (-) than alone: {', '.join(words)}"
