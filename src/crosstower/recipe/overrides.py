"""Overrides of a recipe's keys, such as training.epochs=3: texts or a mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crosstower.errors import RecipeError
from crosstower.recipe.yaml_reader import read_yaml

Overrides = Sequence[str] | Mapping[str, Any]
"""Texts KEY=VALUE, whose values are YAML, or {KEY: VALUE} with values of Python."""


_NAMED = ("model", "objective", "loss")
"""Keys whose value may be a name, or a mapping of a name and options."""


def override(plain: dict[str, Any], overrides: Any) -> None:
    """Set keys of a recipe in plain data.

    >>> plain = {"training": {"epochs": 1}}
    >>> override(plain, {"training.epochs": 3, "model.hidden": [64]})
    >>> plain
    {'training': {'epochs': 3}, 'model': {'hidden': [64]}}
    >>> override(plain, ["training.epochs=4"])
    >>> plain["training"]
    {'epochs': 4}

    Args:
        plain: the recipe, changed in place.
        overrides: see `Overrides`; None sets nothing.

    Raises:
        RecipeError: they are neither, one is not KEY=VALUE, or a parent of a key is a value.

    """
    for key, value in _pairs(overrides):
        _set(plain, key, value)


def _pairs(overrides: Any) -> list[tuple[str, Any]]:
    """Return keys and values."""
    if overrides is None:
        return []
    if isinstance(overrides, Mapping) and all(isinstance(key, str) for key in overrides):
        return [(key, _plain(value)) for key, value in overrides.items()]
    if not isinstance(overrides, list | tuple) or not all(isinstance(o, str) for o in overrides):
        raise RecipeError(
            "overrides: expected {'training.epochs': 3} or a list of texts such as"
            f" 'training.epochs=3', got {overrides!r:.60}"
        )
    return [_parsed(text) for text in overrides]


def _parsed(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise RecipeError(f"override '{text}': expected KEY=VALUE, as in training.epochs=3")
    return key, read_yaml(value)


def _plain(value: Any) -> Any:
    """Return a value with the numbers of NumPy as those of Python; sections stay objects."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _set(plain: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place: Any = plain
    for parent in parents:
        if isinstance(place.get(parent), str) and parent in _NAMED:
            place[parent] = {"name": place[parent]}
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise RecipeError(
                f"override '{key}': '{parent}' is a value without keys; override it as a whole"
            )
    place[last] = value
