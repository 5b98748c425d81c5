"""Warm starts: a training run begins with the weights and optimiser states of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit, draft_layout
from crosstower.errors import RecipeError, RunError
from crosstower.fitting.carry_over import (
    NEW,
    CarriedRows,
    carry_state,
    carry_weights,
    code_rows,
    code_sources,
)
from crosstower.models.registry import build_empty
from crosstower.models.two_tower import TwoTower
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.training import Training
from crosstower.training.checkpoint import Position, read_checkpoint, save_checkpoint
from crosstower.training.early_stopping import limits_of
from crosstower.training.optimizers import build_optimizers
from crosstower.training.run import REFIT, Run
from crosstower.training.trainer import BEST
from crosstower.training.weight_files import is_stored
from crosstower.values.codes import RESERVED_CODES

_SAME = ("optimizer", "embedding_optimizer", "embedding_weight_decay", "wide_alpha")
"""Options of `training` on which the optimisers' states depend."""

_MAY_CHANGE = ("min_count", "max_size", "keep")
"""Options of columns that may differ: they choose the values of a vocabulary."""


def start_of(
    warm_start: Run | str | Path | None,
    recipe: Recipe,
    models: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    resume: bool,
) -> Run | None:
    """Return the run that a training run starts from, checked; None without one.

    Raises:
        RecipeError: the training resumes another run, or freezes a tower without an earlier run
            or with nothing left to train.
        RunError: as of `check_warm_start`.

    """
    freezes = recipe.training.freeze
    if warm_start is None:
        if freezes is not None and not resume:
            raise RecipeError(
                f"training.freeze: {freezes} keeps weights of an earlier run, and none is given;"
                " start from one with warm_start (--from RUN), or remove the key"
            )
        return None
    if resume:
        raise RecipeError("warm_start: begins a new run, while resume continues one; give either")
    start = Run.of(warm_start)
    check_warm_start(start, recipe, models, seeds)
    for model in models.values() if freezes is not None else ():
        freeze(build_empty(draft_layout(recipe.schema_), model), str(freezes))
    return start


def freeze(model: nn.Module, part: str) -> None:
    """Freeze the part of a model that `training.freeze` names.

    Raises:
        RecipeError: the model has no towers, or nothing is left to train.

    """
    if not isinstance(model, TwoTower):
        raise RecipeError(
            f"training.freeze: {part} needs a two_tower model, got"
            f" {type(model).__name__}; remove the key"
        )
    model.freeze_query_tower()


def check_warm_start(
    earlier: Run, recipe: Recipe, models: Mapping[str, Any], seeds: Sequence[int]
) -> None:
    """Reject a recipe whose training cannot start from an earlier run.

    Args:
        earlier: the run to start from.
        recipe: of the new training run, checked.
        models: its model sections by name.
        seeds: of the new training run.

    Raises:
        RunError: columns, tasks, a model or the optimisers differ, or a seed was not trained.

    """
    there, here = _sections(earlier.recipe), _sections(recipe)
    for key, old in there.items():
        if old != (new := here[key]):
            raise RunError(
                f"{earlier.folder}: its {key} differs, so its weights do not fit this recipe"
                f"{_difference(old, new)}; use the recipe of that run, or train without"
                " a warm start"
            )
    for name, model in models.items():
        if earlier.info.models.get(name) != model:
            has = ", ".join(earlier.info.models)
            raise RunError(
                f"{earlier.folder}: has no model '{name}' with the same options (it has: {has});"
                " use the recipe of that run, or train without a warm start"
            )
    missing = [seed for seed in seeds if seed not in earlier.info.seeds]
    if missing:
        raise RunError(
            f"{earlier.folder}: was not trained with seed {missing[0]} (it has:"
            f" {', '.join(map(str, earlier.info.seeds))}); set training.seed and --seeds to those"
        )
    for name in models:
        for seed in seeds:
            _checkpoint(earlier, name, seed)


def freeze_notes(fitted: EncoderFit) -> list[str]:
    """Return a sentence per frozen table whose vocabulary leaves new values out."""
    return [
        f"{name}: frozen with the query tower; {count:,} new values count as unseen."
        for name, count in fitted.left_out().items()
        if count
    ]


def start_notes(earlier: Run, encoder: Encoder) -> list[str]:
    """Return sentences for the report: the earlier run, and the values that came and went."""
    notes = [f"Warm start: training continues from run {earlier.folder.name}."]
    for name, source in code_sources(earlier.encoder, encoder).items():
        if name not in encoder.tables:
            if (source == NEW).all():
                cause = "its columns have too many combinations"
                notes.append(f"{name}: starts from new weights, since {cause}.")
            continue
        before = earlier.encoder.tables[name].size
        new = int((source == NEW).sum())
        gone = before - (len(source) - new)
        if new or gone:
            notes.append(
                f"{name}: {new:,} new values, {gone:,} dropped,"
                f" {len(source) - new - RESERVED_CODES:,} kept."
            )
    return notes


def _sections(recipe: Recipe) -> dict[str, Any]:
    """Return the parts of a recipe on which the shapes and meanings of weights depend."""
    schema, retrieval = recipe.schema_.plain(), recipe.retrieval
    order = {f"order of {key}": list(schema.get(key, ())) for key in ("columns", "tasks")}
    for column in schema["columns"].values():
        for key in _MAY_CHANGE:
            column.pop(key, None)
    found: dict[str, Any] = {"schema": schema, **order, "retrieval": None}
    if retrieval is not None:
        found["retrieval"] = {n: getattr(retrieval, n) for n in ("item", "user")}
        found["retrieval.history"] = retrieval.history.trained
    return found | {f"training.{key}": getattr(recipe.training, key) for key in _SAME}


def _difference(old: Any, new: Any) -> str:
    """Return the first part in which two sections differ, for a message."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return f" ({key}{_difference(old.get(key), new.get(key))})"
        return ""
    return f": {old!r} there, {new!r} here"


def _checkpoint(earlier: Run, model: str, seed: int) -> Path:
    """Return the best checkpoint of a model and seed, by validation rows if there are any."""
    folder = earlier.model_folder(model, seed)
    path = folder / REFIT if is_stored(folder / REFIT) else folder / BEST
    if not is_stored(path):
        raise RunError(
            f"{earlier.folder}: the training of {model} with seed {seed} has no best weights yet;"
            f" continue with: {earlier.resume}"
        )
    return path


def write_start(
    path: Path,
    earlier: Run,
    *,
    name: str,
    model: nn.Module,
    settings: Training,
    encoder: Encoder,
    seed: int,
    objective: Mapping[str, Tensor],
) -> None:
    """Write the first checkpoint of a training run that continues from an earlier run.

    Args:
        path: of the checkpoint.
        earlier: the run to start from.
        name: of the model.
        model: new, built for `encoder`; it gets the earlier weights.
        settings: of the new training run.
        encoder: of the new training run.
        seed: of the training.
        objective: its state at the beginning.

    Raises:
        RunError: the earlier checkpoint is missing or damaged, or a parameter has another shape.

    """
    tensors, before = read_checkpoint(_checkpoint(earlier, name, seed))
    empty = build_empty(earlier.encoder.layout, earlier.info.models[name], earlier.recipe.bias)
    rows = CarriedRows(code_sources(earlier.encoder, encoder), code_rows(empty), code_rows(model))
    carry_weights(tensors, model, rows)
    optimizers = build_optimizers(model, settings)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for place, optimizer in enumerate(optimizers):
        carry_state(tensors, optimizer, f"optimizer.{place}.", names, rows)
    precision = settings.precision
    position = Position(
        precision=before.precision if precision == "auto" else precision,
        reason=before.reason if precision == "auto" else "set by training.precision",
        limits=limits_of(settings),
    )
    save_checkpoint(path, model, optimizers, position, objective)
