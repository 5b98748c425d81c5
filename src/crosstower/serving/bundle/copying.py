"""Copy the files that scoring needs from a run into a bundle, and record their origin."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl

from crosstower.data.counters.count_files import FOLDER as COUNTERS
from crosstower.data.encoders.learned import LEARNED_FILES
from crosstower.data.sources.source import open_source
from crosstower.data.statistics import DatasetStats
from crosstower.recipe.csv import Csv
from crosstower.recipe.events import EventLog
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.tower_columns import retrieval_section_of
from crosstower.serving.bundle.manifest import RunFacts
from crosstower.training.run import Run
from crosstower.training.trainer import BEST
from crosstower.training.weight_files import checksum, write_tensors


def copy_run(run: Run, place: Path, seed: int | None, *, recipe: Recipe | None = None) -> RunFacts:
    """Write the files of a run that scoring needs, for one model, without local paths.

    Args:
        run: finished.
        place: the folder to write.
        seed: of the model; the first one of the run if None.
        recipe: to write instead of the run's own.

    """
    metrics = run.metrics  # refuses a run that has not finished
    metrics.pop("joins", None)  # run.json has them
    model, seed = next(iter(run.info.models)), run.info.seeds[0] if seed is None else seed
    place.mkdir()
    unneeded = shutil.ignore_patterns(*LEARNED_FILES)
    shutil.copytree(run.folder / "encoder", place / "encoder", ignore=unneeded)
    if (run.folder / COUNTERS).is_dir():
        shutil.copytree(run.folder / COUNTERS, place / COUNTERS)
    recipe = _movable(recipe or run.recipe, place)
    facts = _without_folders(run.info.facts)
    models = {model: run.info.models[model]}
    info = run.info.model_copy(
        update={"models": models, "seeds": (seed,), "facts": facts, "warm_start": None}
    )
    (place / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    (place / "run.json").write_text(info.model_dump_json(indent=1), encoding="utf-8")
    target = place / "models" / model / f"seed-{seed}" / BEST
    target.parent.mkdir(parents=True)
    weights = run.model(model, seed=seed).state_dict()
    write_tensors(target, {f"model.{name}": tensor for name, tensor in weights.items()}, {})
    schema = run.recipe.schema_.plain()
    return RunFacts(
        name=run.recipe.name,
        model=model,
        seed=seed,
        trained=run.info.created,
        columns=schema["columns"],
        tasks=schema.get("tasks", {}),
        weights=checksum(target),
        data=facts.fingerprint,
        rows=facts.rows,
        environment=run.info.environment,
        metrics=metrics,
    )


def model_place(facts: RunFacts) -> Path:
    """Return the folder of a model within that of its run."""
    return Path("models") / facts.model / f"seed-{facts.seed}"


def git_revision() -> str | None:
    """Return the git revision of the working folder, marked if files have changed since."""
    git = shutil.which("git")
    if git is None:
        return None

    def ask(*words: str) -> str | None:
        done = subprocess.run([git, *words], capture_output=True, text=True, check=False)  # noqa: S603
        return done.stdout.strip() if done.returncode == 0 else None

    revision = ask("rev-parse", "HEAD")
    return f"{revision}-changed" if revision and ask("status", "--porcelain") else revision


def _without_folders(facts: DatasetStats) -> DatasetStats:
    """Return facts with file names instead of local paths."""
    notes = list(facts.notes)
    for match in facts.joins:
        notes = [n.replace(match.sentence, match.without_folder().sentence) for n in notes]
    return facts.model_copy(
        update={
            "source": Path(facts.source).name,
            "joins": tuple(match.without_folder() for match in facts.joins),
            "notes": tuple(notes),
        }
    )


def _movable(recipe: Recipe, place: Path) -> Recipe:
    """Return a recipe that reads only its own folder; joined tables are copied."""
    joins = list(recipe.data.joins)
    for number, other in enumerate(joins):
        path = Path("tables") / f"{number}.parquet"
        (place / path).parent.mkdir(exist_ok=True)
        _whole(other.path, recipe.data.csv).write_parquet(place / path)
        joins[number] = other.model_copy(update={"path": str(path)})
    # Logs stay as facts about their columns; the counts at their end are copied.
    logs = [_nameless(log) for log in recipe.data.events]
    tables = {"joins": tuple(joins), "events": tuple(logs)}
    data = recipe.data.model_copy(update={"path": None, "sql": None, "connection": None, **tables})
    update: dict[str, Any] = {"data": data}
    if recipe.retrieval is not None:
        update["retrieval"] = retrieval_section_of(recipe).model_copy(update={"items": None})
    return recipe.model_copy(update=update)


def _nameless(log: EventLog) -> EventLog:
    """Return a log with only the name of its file."""
    path = None if log.path is None else Path(log.path).name
    return log.model_copy(update={"path": path})


def _whole(path: str, dialect: Csv) -> pl.DataFrame:
    table = open_source(path, dialect)
    chunks = [chunk.frame for chunk in table.chunks(table.columns())]
    return pl.concat(chunks, how="vertical_relaxed")
