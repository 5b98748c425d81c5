"""Registries: the column kinds, metrics, losses, index engines and models that recipes name.

Built-in entries and a user's own ones are registered the same way, by a decorator of the room
that uses them. Modules named in the environment variable `CROSSTOWER_MODULES` (comma-separated)
are imported before a name is looked up, so that every process knows them.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar

from crosstower.errors import CrosstowerWarning, RecipeError, RunError, did_you_mean

MODULES = "CROSSTOWER_MODULES"
"""Environment variable: modules that register entries of your own."""

_FORMER = "CROSSTOWER_MODELS"
T = TypeVar("T")
C = TypeVar("C")
P = ParamSpec("P")


class Registry(Generic[T]):
    """Entries by name.

    >>> shapes = Registry[float]("shape", package="crosstower.recipe.registry")
    >>> shapes.add("circle", 3.14, module="__main__")
    >>> shapes.get("circle")
    3.14
    >>> shapes.get("circel")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    crosstower.errors.RecipeError: no shape 'circel'; did you mean 'circle'?; allowed: circle...

    Args:
        noun: name of an entry in messages.
        package: its modules register the built-in entries, once a name is looked up.

    """

    known: ClassVar[list[Registry[object]]] = []

    def __init__(self, noun: str, *, package: str) -> None:
        self.noun, self.package = noun, package
        self.entries: dict[str, T] = {}
        self.modules: dict[str, str] = {}
        self._loaded = False
        Registry.known.append(self)  # pyright: ignore[reportArgumentType]

    def add(self, name: str, entry: T, *, module: str) -> None:
        """Register an entry; a module that is loaded again replaces its own.

        Args:
            name: that recipes use.
            entry: of that name.
            module: where it is defined, its `__module__`.

        Raises:
            RecipeError: another module has registered the name.

        """
        other = self.modules.get(name, module)
        if other != module:
            raise RecipeError(
                f"{self.noun} '{name}': {other} has registered this name, {module} cannot take it;"
                " choose another name"
            )
        self.entries[name], self.modules[name] = entry, module

    def decorator(
        self, called: str, entry: Callable[Concatenate[str, Any, P], T], *, doc: str
    ) -> Callable[Concatenate[str, P], Callable[[C], C]]:
        """Return the decorator that registers entries: `@register_shape("circle", PARTS)`.

        Args:
            called: name of the decorator.
            entry: called with the name, the decorated function or class, and the parts.
            doc: docstring of the decorator.

        """

        def register(name: str, /, *args: P.args, **kwargs: P.kwargs) -> Callable[[C], C]:
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise RecipeError(
                    f"@{called}: expected a name, got {name!r:.60}; write @{called}(NAME, ...)"
                )

            def keep(thing: C) -> C:
                self.add(name, entry(name, thing, *args, **kwargs), module=thing.__module__)
                return thing

            return keep

        register.__name__ = register.__qualname__ = called
        register.__doc__ = doc
        return register

    def find(self, name: str) -> T | None:
        """Return an entry, None if there is no such name.

        Raises:
            RecipeError: a custom module cannot be imported.

        """
        import_own_modules()  # one that is wrong is reported even if nothing needs it
        if name not in self.entries:
            self.load()
        return self.entries.get(name)

    def get(
        self, name: str, *, where: str = "", fits: Callable[[T], bool] = lambda _entry: True
    ) -> T:
        """Return an entry.

        Args:
            name: of the entry.
            where: the key of the recipe that names it, for messages.
            fits: whether an entry is allowed there; all are by default.

        Raises:
            RecipeError: there is no such entry, it is not allowed, or a custom module
                cannot be imported.

        """
        entry = self.find(name)
        if entry is None or not fits(entry):
            allowed = [other for other in self.names() if fits(self.entries[other])]
            raise RecipeError(f"{where}{': ' if where else ''}{self.unknown(name, allowed)}")
        return entry

    def names(self) -> list[str]:
        """Return the names of all entries.

        Built-in ones come first, ordered by module, whichever was imported first.

        Raises:
            RecipeError: a custom module cannot be imported.

        """
        self.load()
        return sorted(self.entries, key=lambda name: (not self._built_in(name), self._home(name)))

    def load(self) -> None:
        """Import the modules that register entries, built-in ones and those of the environment."""
        if not self._loaded:
            room = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(getattr(room, "__path__", [])):
                importlib.import_module(f"{self.package}.{module.name}")
            self._loaded = True
        import_own_modules()

    def unknown(self, name: str, allowed: list[str]) -> str:
        """Return the sentence about a name that is none of those allowed."""
        return (
            f"no {self.noun} '{name}'{did_you_mean(name, allowed)}; allowed:"
            f" {', '.join(allowed)} (your own: import its module, or set {MODULES})"
        )

    def own(self, names: Iterable[str]) -> dict[str, str]:
        """Return {name: module} of the entries that are not built in."""
        return {n: self.modules[n] for n in names if n in self.modules and not self._built_in(n)}

    def _built_in(self, name: str) -> bool:
        return self.modules[name].startswith("crosstower.")

    def _home(self, name: str) -> str:
        return self.modules[name] if self._built_in(name) else ""


def itself(_name: str, thing: Any, /) -> Any:
    """Return a class that is an entry as it is, for `Registry.decorator`."""
    return thing


def import_own_modules() -> None:
    """Import the modules that `CROSSTOWER_MODULES` names.

    Raises:
        RecipeError: a module cannot be imported.

    """
    former = os.environ.get(_FORMER, "")
    if former:
        warnings.warn(f"{_FORMER} is now {MODULES}; rename it", CrosstowerWarning, stacklevel=2)
    for name in f"{os.environ.get(MODULES, '')},{former}".split(","):
        if not name.strip():
            continue
        try:
            importlib.import_module(name.strip())
        except ImportError as error:
            raise RecipeError(
                f"{MODULES}: cannot import '{name.strip()}' ({error}); name modules that Python"
                " finds, for example through PYTHONPATH"
            ) from error


def require_own(modules: Mapping[str, str], *, where: str) -> None:
    """Reject a run that needs custom entries unknown to this process.

    Args:
        modules: {name: the module that registered it when the run was trained}.
        where: start of the message, such as the run's folder.

    Raises:
        RunError: names the module to import.

    """
    import_own_modules()
    for name, module in modules.items():
        if any(name in registry.entries for registry in Registry.known):
            continue
        how = f"import {module} first, or set {MODULES}={module} (command line and server)"
        by = repr(module)
        if module == "__main__":
            by = "the script that trained it"
            how = (
                "define it before the run is opened, or move it into a module, import that (on the"
                f" command line: set {MODULES}=MODULE) and train again"
            )
        raise RunError(
            f"{where}: '{name}' is not built in; it was registered by {by} and is not known here;"
            f" {how}"
        )
