"""Default search space of a recipe: options of its model and of its training.

A model's options are found by name in `OPTIONS`. A model adds to them, or takes some out by None,
with the attribute `space` of its `Config`:

    class Config(FrozenModel):
        space: ClassVar[dict[str, Any]] = {"blocks": {"low": 1, "high": 4}, "dropout": None}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from torch import nn

from crosstower.data.encoders.encoder_fit import draft_layout
from crosstower.fitting.tuning.space import contains, refusal
from crosstower.models.registry import build_empty, config_of
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.tune import Dimension
from crosstower.recipe.validation import validate
from crosstower.training.optimizers.assign import embedding_rate

_WIDTHS = [[64], [128, 64], [256, 128], [256, 128, 64]]
_TOWER = [[], [64], [128, 64]]

OPTIONS: Mapping[str, Any] = {
    "embedding_dim": [8, 16, 32, 64],
    "dim": [16, 32, 64, 128],
    "dropout": {"low": 0.0, "high": 0.5},
    "hidden": _WIDTHS,
    "numbers_hidden": None,
    "query_hidden": _TOWER,
    "item_hidden": _TOWER,
    "tower_hidden": [[], [32], [64, 32]],
    "cross_layers": {"low": 1, "high": 4},
    "temperature": {"low": 0.03, "high": 1.0, "log": True},
}
"""Values of a model's option by its name; those of a nested section, such as `trunk`, as well."""

_FACTOR = 10.0


def default_space(recipe: Recipe) -> dict[str, Dimension]:
    """Return the search space of a recipe without `tune.space`.

    Each dimension contains the recipe's own value, so that the first trial is the recipe itself.
    Values that the rest of the recipe does not allow are left out, such as another width of the
    embeddings where they start from a spectrum, and so is a dimension without another value.

    Raises:
        RecipeError: the recipe names an unknown model, or a wrong option.

    """
    found = {f"model.{key}": d for key, d in _of_model(recipe)}
    found |= {f"training.{key}": d for key, d in _of_training(recipe)}
    allowed = {key: _allowed(recipe, key, dimension) for key, dimension in found.items()}
    return {key: dimension for key, dimension in allowed.items() if dimension is not None}


def _allowed(recipe: Recipe, key: str, dimension: Dimension) -> Dimension | None:
    """Return a dimension without refused values; None if fewer than two are left."""
    values = [value for value in dimension.ends() if refusal(recipe, key, value) is None]
    if len(values) == len(dimension.ends()):
        return dimension
    if dimension.choices and len(values) > 1:
        return Dimension(choices=tuple(values))
    return None


def _of_model(recipe: Recipe) -> Iterator[tuple[str, Dimension]]:
    name = str(recipe.model["name"])
    given = {k: v for k, v in recipe.model.items() if k != "name"}
    config = validate(config_of(name), given, where="model")
    own: Mapping[str, Any] = getattr(type(config), "space", {})
    for key, value in _options(config):
        last = key.rpartition(".")[2]
        wanted = own[key] if key in own else OPTIONS.get(last)
        if wanted is not None:
            yield key, _with(Dimension.model_validate(wanted), value)


def _options(config: BaseModel, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each option with its value, those of nested sections after a dot."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from _options(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _with(dimension: Dimension, value: Any) -> Dimension:
    """Return a dimension that contains a value."""
    if contains(dimension, value):
        return dimension
    if dimension.choices:
        given = list(value) if isinstance(value, tuple) else value
        return Dimension(choices=(given, *dimension.choices))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return dimension  # unset, which no range contains
    ends = [dimension.low, dimension.high, value]
    low, high = (end(n for n in ends if n is not None) for end in (min, max))
    return dimension.model_copy(update={"low": low, "high": high})


def _of_training(recipe: Recipe) -> Iterator[tuple[str, Dimension]]:
    settings, dense, tables, wide = recipe.training, nn.Linear | nn.GRU, EmbeddingStore, WideLinear
    parts = _parts_of(recipe)
    if parts is None or any(isinstance(part, dense) for part in parts):
        yield "learning_rate", _around(settings.learning_rate)
        yield "weight_decay", _around(max(settings.weight_decay, 1e-5), 100.0)
    if parts is None or any(isinstance(part, tables) for part in parts):
        yield (
            "embedding_learning_rate",
            _around(embedding_rate(settings, retrieves=recipe.retrieval is not None)),
        )
    if parts is not None and any(isinstance(part, wide) for part in parts):
        yield "wide_alpha", _around(settings.wide_alpha)
        yield "wide_l2", _around(max(settings.wide_l2, 1e-2), 100.0)


def _parts_of(recipe: Recipe) -> list[nn.Module] | None:
    """Return the modules of the model; None if it cannot be built before rows are read."""
    try:
        return list(build_empty(draft_layout(recipe.schema_), recipe.model).modules())
    except RuntimeError:  # a custom model may need real weights
        return None


def _around(value: float, factor: float = _FACTOR) -> Dimension:
    low, high = (float(f"{end:.3g}") for end in (value / factor, value * factor))
    return Dimension(low=low, high=high, log=True)
