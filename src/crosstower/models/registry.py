"""Architectures by name: a new one is a file here with `@register`, and one test."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor, nn

from crosstower.data.batch import Batch
from crosstower.data.layout import Layout
from crosstower.errors import RecipeError, RunError, did_you_mean
from crosstower.recipe.frozen import FrozenModel
from crosstower.recipe.validation import validate


class Architecture(Protocol):
    """What a registered class offers; `forward` gives {head: logits `[B]`}."""

    Config: ClassVar[type[FrozenModel]]

    def __call__(self, layout: Layout, config: Any) -> nn.Module:
        """Build the model for a layout."""
        ...

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return logits by head."""
        ...


MODULES = "CROSSTOWER_MODELS"
"""Environment variable: modules with architectures of your own."""

C = TypeVar("C", bound=type)
_ARCHITECTURES: dict[str, Any] = {}


def register(name: str) -> Callable[[C], C]:
    """Make a model class known under `name`."""

    def keep(cls: C) -> C:
        _ARCHITECTURES[name] = cls
        return cls

    return keep


def model_names() -> list[str]:
    """Return the names of all architectures, sorted.

    Own ones are known once their module is imported, which the environment variable
    `CROSSTOWER_MODELS` does for every process: names of modules, with commas between them.

    Raises:
        RecipeError: a module of `CROSSTOWER_MODELS` cannot be imported.

    """
    import crosstower.models as room  # noqa: PLC0415 - the room imports this file

    for module in pkgutil.iter_modules(room.__path__):
        importlib.import_module(f"{room.__name__}.{module.name}")
    for name in filter(None, os.environ.get(MODULES, "").split(",")):
        try:
            importlib.import_module(name.strip())
        except ImportError as error:
            raise RecipeError(
                f"{MODULES}: cannot import '{name.strip()}' ({error}); name modules that Python"
                " finds, as by PYTHONPATH"
            ) from error
    return sorted(_ARCHITECTURES)


def own_modules(names: Iterable[str]) -> dict[str, str]:
    """Return {architecture: the module that registered it} of those that are not ours."""
    homes = {name: _ARCHITECTURES[name].__module__ for name in names}
    return {n: home for n, home in homes.items() if not home.startswith(f"{__package__}.")}


def require_model(name: str, module: str | None, *, where: str) -> None:
    """Refuse a run of an architecture that is not known in this process.

    Args:
        name: of the architecture.
        module: that registered it when it was trained, if that was not ours.
        where: what messages begin with, such as the run's folder.

    Raises:
        RunError: names the module to import.

    """
    if module is None or name in model_names():
        return
    how = f"import {module} first, or set {MODULES}={module} (on the command line, in a server)"
    if module == "__main__":
        how = (
            "define it before the run is opened, or move it into a module of its own and import"
            f" that (on the command line: set {MODULES}=MODULE) and train again"
        )
    raise RunError(
        f"{where}: its model '{name}' is an architecture of your own, registered by"
        f" {'the script that trained it' if module == '__main__' else repr(module)}, which is not"
        f" known here; {how}"
    )


def config_of(name: str) -> type[FrozenModel]:
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
