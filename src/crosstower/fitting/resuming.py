"""Resume a run: with the same recipe, with more or fewer epochs, or finish it immediately."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from crosstower.blending.blend_run import blend_run
from crosstower.data.progress import OnProgress
from crosstower.data.statistics import DatasetStats
from crosstower.errors import RunError, TrainingError, notify
from crosstower.recipe.blend import Blend
from crosstower.recipe.recipe import Recipe
from crosstower.storage.files import write_atomic
from crosstower.training.checkpoint import Position, read_position
from crosstower.training.early_stopping import is_over, limits_of
from crosstower.training.run import BLEND, BLENDED, Run
from crosstower.training.trainer import LAST
from crosstower.training.weight_files import is_stored

MAY_CHANGE = (
    "training.epochs",
    "training.patience",
    "training.checkpoint_every",
    "training.timeout",
    "training.device",
    "training.tables",
    "training.trackers",
    "data.memory_mb",
    "data.engine",
    "data.runner",
)
"""Options that a resumed training run may change; the recipe of the run is updated."""

_SEARCH = "tune"  # a section that no training reads
_ROWS = ("path", "sql", "connection", "valid", "test")
_WHERE = ("name", *(f"data.{key}" for key in _ROWS))  # the rows themselves are compared


def continued(folder: Path, recipe: Recipe, seeds: int | None, *, tables: bool) -> Run:
    """Return the run in a folder with the recipe that it continues with.

    Args:
        folder: of the run.
        recipe: of the call.
        seeds: of the call; None keeps those of the run.
        tables: whether the rows are given as tables instead of the recipe's path.

    Raises:
        RunError: there is no run, its seeds differ, or its recipe does in more than `MAY_CHANGE`.

    """
    run = Run.open(folder)
    if seeds is not None and seeds != len(run.info.seeds):
        raise RunError(
            f"{folder}: has {len(run.info.seeds)} seeds, which stay as they are, got {seeds}; leave"
            " seeds out, or train into another folder"
        )
    if run.info.tables and not tables and not recipe.data.is_named:
        raise RunError(
            f"{folder}: was trained on tables, which no file holds; continue with: {run.resume}"
        )
    return _resumed(run, recipe, tables=tables)


def _resumed(run: Run, recipe: Recipe, *, tables: bool) -> Run:
    before, after = (
        dict(_flat(r.model_dump(mode="json", by_alias=True))) for r in (run.recipe, recipe)
    )
    differ = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    kept = (*MAY_CHANGE, *_WHERE)
    wrong = [key for key in differ if key not in kept and key.partition(".")[0] != _SEARCH]
    if wrong:
        pairs = (f"{k}: {before.get(k)!r}, now {after.get(k)!r}" for k in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise RunError(
            f"{run.folder}: was trained by another recipe ({'; '.join(pairs)}{more}); a resumed run"
            f" may change {', '.join(MAY_CHANGE)}. Resume with {run.folder / 'recipe.yaml'}, or"
            " choose another folder with --out"
        )
    kept = {key: getattr(run.recipe.data, key) for key in _ROWS}
    rows = recipe.data.model_copy(update=kept) if tables else recipe.data
    merged = recipe.model_copy(update={"data": rows, "name": run.recipe.name})
    return Run(run.folder, merged, run.info)


def _flat(plain: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ("section.key", value); the schema and the model are one value each."""
    for key, value in plain.items():
        nested = isinstance(value, dict) and not before and key not in ("schema", "model")
        if nested:
            yield from _flat(cast("dict[str, Any]", value), f"{key}.")
        else:
            yield before + key, value


def going_on(run: Run, facts: DatasetStats, *, finish: bool) -> Run:
    """Return the run that continues, and keep its recipe.

    Args:
        run: from `continued`.
        facts: of the rows.
        finish: whether to end the training of the models and seeds that have begun, and to leave
            out the others.

    Raises:
        RunError: the rows are not those that the run began with, or nothing has been learned yet.

    """
    _check_rows(run, facts)
    _keep_recipe(run)
    return _begun(run) if finish else run


def _check_rows(run: Run, facts: DatasetStats) -> None:
    before, now = run.info.facts.fingerprint, facts.fingerprint
    if before.count(":") < now.count(":"):
        words = "was begun by an earlier version, whose hash of the rows cannot be compared"
        notify([f"{run.folder}: {words}; they are taken as unchanged"])
        return
    if before != now:
        back = f"give the same: {run.resume}" if run.info.tables else "put the data back"
        raise RunError(
            f"{run.folder}: the rows have changed since this run began; {back}, or train into"
            " another folder with --out"
        )


def _keep_recipe(run: Run) -> None:
    path, text = run.folder / "recipe.yaml", run.recipe.to_yaml()
    if path.read_text(encoding="utf-8") != text:
        write_atomic(path, text.encode())


def _position_of(run: Run, model: str, seed: int) -> Position | None:
    """Return the last position of a model and seed; None if its training has not begun."""
    path = run.model_folder(model, seed) / LAST
    return read_position(path) if is_stored(path) else None


def blend_again(run: Run, data: Any, on_progress: OnProgress) -> None:
    """Fit a stored blend again if training has continued."""
    path, main = run.folder / BLENDED, next(iter(run.info.models))
    fitted = [run.model_folder(main, seed) / BLEND for seed in run.info.seeds]
    if not path.is_file() or all(blend.is_file() for blend in fitted):
        return
    plain = json.loads(path.read_bytes())
    blend = Blend.model_validate(plain["blend"])
    blend_run(run, blend, user=plain["user"], k=plain["k"], data=data, on_progress=on_progress)


def _begun(run: Run) -> Run:
    """Return the run with only the models and seeds that have begun, to be ended now; store it.

    These are the seeds of the main model with at least one step, and the baselines that have one
    for each of them.

    Raises:
        RunError: nothing has been learned yet.

    """
    main = next(iter(run.info.models))
    seeds = tuple(seed for seed in run.info.seeds if _steps(run, main, seed))
    if not seeds:
        raise RunError(f"{run.folder}: nothing has been trained yet; continue with: {run.resume}")
    models = {
        name: model
        for name, model in run.info.models.items()
        if all(_steps(run, name, seed) for seed in seeds)
    }
    notes = list(_notes(run, models, seeds))
    facts = run.info.facts.model_copy(update={"notes": (*run.info.facts.notes, *notes)})
    info = run.info.model_copy(update={"models": models, "seeds": seeds, "facts": facts})
    write_atomic(run.folder / "run.json", info.model_dump_json(indent=1).encode())
    return Run(run.folder, run.recipe, info)


def _steps(run: Run, model: str, seed: int) -> int:
    position = _position_of(run, model, seed)
    return position.step if position else 0


def _notes(run: Run, models: Mapping[str, Any], seeds: tuple[int, ...]) -> Iterator[str]:
    for name in models:
        for seed in seeds:
            position = _position_of(run, name, seed)
            if position is not None and not is_over(position, limits_of(run.recipe.training)):
                epochs = f"{position.epoch} of at most {run.recipe.training.epochs} epochs"
                yield f"Training stopped manually: {name}, seed {seed}, after {epochs}."
    missing = [name for name in run.info.models if name not in models]
    missing += [f"seed {seed}" for seed in run.info.seeds if seed not in seeds]
    if missing:
        yield f"Not trained, as the run was stopped manually: {', '.join(missing)}."


def named(error: TrainingError, folder: Path) -> TrainingError:
    """Return a training error whose advice names the run folder."""
    words = str(error)
    if "--resume RUN" in words:
        run = Run.open(folder)
        words = words.replace("crosstower fit --resume RUN", run.resume)
        if run.info.tables:
            words = words.replace("--finish", "finish=True")
    return type(error)(words)
