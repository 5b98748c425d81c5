"""Models by name: a new one is a file here with `@register_model`, and one test."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError
from crosstower.nn.position_bias import PositionBias
from crosstower.recipe.bias import Bias
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.registry import Registry, itself
from crosstower.recipe.validation import validate


class Architecture(Protocol):
    """Interface of a model class; `forward` gives {head: logits `[B]`}."""

    Config: ClassVar[type[FrozenModel]]

    def __call__(self, layout: Layout, config: Any) -> nn.Module:
        """Build the model for a layout."""
        ...

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return logits by head."""
        ...


MODELS = Registry[Any]("model", package="crosstower.models")

register_model = MODELS.decorator(
    "register_model",
    itself,
    doc="""Return a decorator that registers a model class, whose options are its `Config`.

    Args:
        name: value of `model.name` in recipes.

    Raises:
        RecipeError: another module has registered the name.

    """,
)


def model_names() -> list[str]:
    """Return the names of all models, sorted.

    >>> "dcn_v2" in model_names()
    True

    Raises:
        RecipeError: a module of `CROSSTOWER_MODULES` cannot be imported.

    """
    return sorted(MODELS.names())


def config_of(name: str) -> type[FrozenModel]:
    """Return the options class of a model.

    >>> config_of("mlp")().hidden
    (128, 64)

    Args:
        name: of the model.

    Raises:
        RecipeError: there is no such model.

    """
    return MODELS.get(name, where="model.name").Config


def build(layout: Layout, model: dict[str, Any], bias: Bias | None = None) -> nn.Module:
    """Return a new model for the `model` section of a recipe.

    >>> import crosstower as ct
    >>> heads = (ct.Head("click", "binary"),)
    >>> layout = ct.Layout(codes=(), numbers=("age",), lists=(), heads=heads)
    >>> type(build(layout, {"name": "mlp", "hidden": [16]})).__name__
    'PlainMLP'

    Args:
        layout: fields, numbers and heads, from a fitted encoder.
        model: `name` and options.
        bias: columns that only a bias tower reads, which goes with the model in training.

    Raises:
        RecipeError: an unknown name or option, or a layout without inputs.

    """
    if bias is not None:
        return PositionBias(build(layout.without(bias.columns), model), layout, bias)
    name = str(model["name"])
    options = {k: v for k, v in model.items() if k != "name"}
    kind = MODELS.get(name, where="model.name")
    config = validate(kind.Config, options, where="model")
    if not (layout.codes or layout.numbers or layout.lists):
        raise RecipeError("schema.columns: the model has no input; declare at least one column")
    return kind(layout, config)


def build_empty(layout: Layout, model: dict[str, Any], bias: Bias | None = None) -> nn.Module:
    """Return a new model without weights, which checks its options at no cost.

    Args:
        layout: fields and heads of the model.
        model: the `model` section of a recipe.
        bias: as for `build`.

    Raises:
        RecipeError: an unknown name or option, or a layout without inputs.

    """
    with torch.device("meta"):
        return build(layout, model, bias)
