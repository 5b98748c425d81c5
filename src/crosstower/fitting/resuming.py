"""Going on with a run: with the same recipe, with more or fewer epochs, or to its end at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

from crosstower.blending.blend_run import blend_run
from crosstower.data.progress import OnProgress
from crosstower.errors import RunError
from crosstower.recipe.blend import Blend
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import GivenSplit
from crosstower.retrieval.retriever import INDEX
from crosstower.storage.files import write_atomic
from crosstower.training.checkpoint import Position, read_position
from crosstower.training.limits import is_over
from crosstower.training.run import BLEND, BLENDED, CALIBRATION, METRICS, REPORT, Run
from crosstower.training.trainer import LAST

MAY_CHANGE = (
    "training.epochs",
    "training.patience",
    "training.checkpoint_every",
    "training.device",
    "training.tables",
    "data.memory_mb",
)
"""Options that a resumed training may change; the recipe of the run is updated."""

_WHERE = ("name", "data.path", "data.valid", "data.test")  # the rows themselves are compared


def located(recipe: Recipe, data: Any) -> tuple[Recipe, Any]:
    """Return the recipe with the paths of its rows, absolute; tables stay apart.

    Args:
        recipe: as the user has it.
        data: rows for `training_source`: a path, a table, a mapping of either, or None.

    Returns:
        The recipe, and the rows that it does not name.

    """
    if isinstance(data, str | PathLike):
        named = {"path": str(data)}
    elif isinstance(data, Mapping):
        parts = cast("Mapping[str, Any]", data)
        keys = {"train": "path", "valid": "valid", "test": "test"}
        if set(parts) != set(keys) or not all(
            isinstance(p, str | PathLike) for p in parts.values()
        ):
            return _anchored(recipe), data
        named = {keys[name]: str(path) for name, path in parts.items()} | {"split": GivenSplit()}
    else:
        return _anchored(recipe), data
    rows = recipe.data.model_copy(update=named)
    return _anchored(recipe.model_copy(update={"data": rows})), None


def _anchored(recipe: Recipe) -> Recipe:
    """Return the recipe with all paths of files absolute, from the working folder."""

    def absolute(path: str | None) -> str | None:
        return path if path is None or path.startswith("world:") else str(Path.cwd() / path)

    data = recipe.data
    paths: dict[str, Any] = {n: absolute(getattr(data, n)) for n in ("path", "valid", "test")}
    paths["joins"] = tuple(j.model_copy(update={"path": absolute(j.path)}) for j in data.joins)
    sections: dict[str, Any] = {"data": data.model_copy(update=paths)}
    if recipe.retrieval is not None:
        items = {"items": absolute(recipe.retrieval.items)}
        sections["retrieval"] = recipe.retrieval.model_copy(update=items)
    return recipe.model_copy(update=sections)


def resumed(run: Run, recipe: Recipe, *, tables: bool) -> Run:
    """Return a run with the recipe that it goes on with.

    Args:
        run: as it was left.
        recipe: of the call.
        tables: the rows come as tables, whatever path the recipe has.

    Raises:
        RunError: the recipe differs in more than `MAY_CHANGE`.

    """
    before, after = (
        dict(_flat(r.model_dump(mode="json", by_alias=True))) for r in (run.recipe, recipe)
    )
    differ = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    wrong = [key for key in differ if key not in (*MAY_CHANGE, *_WHERE)]
    if wrong:
        pairs = (f"{k}: {before.get(k)!r}, now {after.get(k)!r}" for k in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise RunError(
            f"{run.folder}: was trained by another recipe ({'; '.join(pairs)}{more}); going on may"
            f" change {', '.join(MAY_CHANGE)}. Resume with {run.folder / 'recipe.yaml'}, or choose"
            " another folder with --out"
        )
    kept = {key: getattr(run.recipe.data, key) for key in ("path", "valid", "test")}
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


def keep_recipe(run: Run) -> None:
    """Write the recipe that a run goes on with, if it is another one."""
    path, text = run.folder / "recipe.yaml", run.recipe.to_yaml()
    if path.read_text(encoding="utf-8") != text:
        write_atomic(path, text.encode())


def position_of(run: Run, model: str, seed: int) -> Position | None:
    """Return where a training is; None if it has not begun."""
    path = run.model_folder(model, seed) / LAST
    return read_position(path) if path.is_file() else None


def over(run: Run, model: str, seed: int, outputs: Iterable[str]) -> bool:
    """Return whether a training has ended under the recipe's limits, and was tested."""
    folder, position = run.model_folder(model, seed), position_of(run, model, seed)
    there = all((folder / name).is_file() for name in outputs)
    return there and position is not None and is_over(position, run.recipe.training)


def reopen(run: Run, model: str, seed: int, outputs: Iterable[str]) -> str | None:
    """Remove what was made of the weights before a training goes on; return words about it."""
    folder = run.model_folder(model, seed)
    stale = [folder / name for name in (*outputs, CALIBRATION, BLEND)]
    stale += [run.folder / METRICS, run.folder / REPORT]
    for path in stale:
        path.unlink(missing_ok=True)
    index = run.folder / INDEX
    if not index.is_dir():
        return None
    shutil.rmtree(index)
    return f"{index}: removed, its vectors are of the weights before; crosstower index {run.folder}"


def blend_again(run: Run, data: Any, on_progress: OnProgress) -> None:
    """Fit a kept blend again if the trainings have continued."""
    path, main = run.folder / BLENDED, next(iter(run.info.models))
    fitted = [run.model_folder(main, seed) / BLEND for seed in run.info.seeds]
    if not path.is_file() or all(blend.is_file() for blend in fitted):
        return
    plain = json.loads(path.read_bytes())
    blend = Blend.model_validate(plain["blend"])
    blend_run(run, blend, user=plain["user"], k=plain["k"], data=data, on_progress=on_progress)


def begun(run: Run) -> Run:
    """Return a run of the trainings that have begun, to be ended now; it is kept so.

    These are the seeds of the main model with at least one step, and the baselines that have one
    for each of them.

    Raises:
        RunError: nothing has been learnt yet.

    """
    main = next(iter(run.info.models))
    seeds = tuple(seed for seed in run.info.seeds if _steps(run, main, seed))
    if not seeds:
        raise RunError(f"{run.folder}: nothing has been trained yet; go on with: {run.resume}")
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
    position = position_of(run, model, seed)
    return position.step if position else 0


def _notes(run: Run, models: Mapping[str, Any], seeds: tuple[int, ...]) -> Iterator[str]:
    for name in models:
        for seed in seeds:
            position = position_of(run, name, seed)
            if position is not None and not is_over(position, run.recipe.training):
                epochs = f"{position.epoch} of at most {run.recipe.training.epochs} epochs"
                yield f"Training ended by hand: {name}, seed {seed}, after {epochs}."
    missing = [name for name in run.info.models if name not in models]
    missing += [f"seed {seed}" for seed in run.info.seeds if seed not in seeds]
    if missing:
        yield f"Not trained, as the run was ended by hand: {', '.join(missing)}."
