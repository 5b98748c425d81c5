"""Architectures by name: a new one is a file here with `@register`, and one test."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor, nn

from crosstower.batch import Batch
from crosstower.errors import RecipeError, did_you_mean
from crosstower.frozen import Frozen
from crosstower.layout import Layout
from crosstower.validation import validate


class Architecture(Protocol):
    """What a registered class offers; `forward` gives {head: logits `[B]`}."""

    Config: ClassVar[type[Frozen]]

    def __call__(self, layout: Layout, config: Any) -> nn.Module:
        """Build the model for a layout."""
        ...

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return logits by head."""
        ...


C = TypeVar("C", bound=type)
_ARCHITECTURES: dict[str, Any] = {}


def register(name: str) -> Callable[[C], C]:
    """Make a model class known under `name`."""

    def keep(cls: C) -> C:
        _ARCHITECTURES[name] = cls
        return cls

    return keep


def model_names() -> list[str]:
    """Return the names of all architectures, sorted."""
    import crosstower.models as room  # noqa: PLC0415 - the room imports this file

    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    return sorted(_ARCHITECTURES)


def config_of(name: str) -> type[Frozen]:
    """Return the options model of an architecture.

    Raises:
        RecipeError: there is no such architecture.

    """
    names = model_names()
    if name not in names:
        raise RecipeError(
            f"model.name: no architecture '{name}'{did_you_mean(name, names)};"
            f" allowed: {', '.join(names)}"
        )
    return _ARCHITECTURES[name].Config


def build(layout: Layout, model: dict[str, Any]) -> nn.Module:
    """Return a new model for the `model` section of a recipe.

    Raises:
        RecipeError: an unknown name or option, or a layout without inputs.

    """
    name = str(model["name"])
    options = {k: v for k, v in model.items() if k != "name"}
    config = validate(config_of(name), options, where="model")
    if not (layout.codes or layout.numbers or layout.lists):
        raise RecipeError("schema.columns: the model has no input; declare at least one column")
    return _ARCHITECTURES[name](layout, config)
