"""The exploration of a bundle: checked when it is made, read when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from crosstower.blending.exploration.explore import Exploration
from crosstower.blending.exploration.pool import DrawOptions
from crosstower.errors import BundleError, RecipeError

FILE = "explore.json"
_ADAPTER: TypeAdapter[Exploration] = TypeAdapter(Exploration)


def given_exploration(explore: Exploration | Mapping[str, Any] | str | None) -> Exploration | None:
    """Return the exploration of a bundle from options, or from YAML as typed on a command line.

    >>> given_exploration("{kind: epsilon, epsilon: 0.1}").epsilon
    0.1

    Raises:
        RecipeError: it is not YAML, an option is wrong, or it has a seed.

    """
    if explore is None or isinstance(explore, DrawOptions):
        found = explore
    elif isinstance(explore, str):
        try:
            found = _validated(yaml.safe_load(explore))
        except yaml.YAMLError as error:
            raise RecipeError(f"explore: not YAML: {error}") from None
    else:
        found = _validated(explore)
    if found is not None and found.seed is not None:
        raise RecipeError(
            f"explore.seed: expected none in a bundle, got {found.seed}: every list would be drawn"
            " alike; give it with a request"
        )
    return found


def _validated(plain: Any) -> Exploration:
    example = "as in {kind: plackett_luce, temperature: 0.1}"
    if not isinstance(plain, Mapping) or "kind" not in plain:
        raise RecipeError(f"explore: expected options with a kind, {example}, got {plain!r}")
    try:
        return _ADAPTER.validate_python(plain)
    except ValidationError as error:
        lines = [f"explore{_path(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise RecipeError("\n".join([*lines, f"explore: expected options {example}"])) from None


def write_exploration(folder: Path, explore: Exploration) -> None:
    """Write the exploration of a bundle into its folder."""
    (folder / FILE).write_text(explore.model_dump_json(indent=1), encoding="utf-8")


def read_exploration(folder: Path) -> Exploration | None:
    """Read the exploration of a bundle; None if it has none.

    Raises:
        BundleError: the file is damaged.

    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return given_exploration(path.read_text(encoding="utf-8"))
    except RecipeError as error:
        raise BundleError(f"{path}: {error}; make the bundle again") from error


def _path(location: tuple[int | str, ...]) -> str:
    """Return the key below `explore`; the first part is the kind."""
    return "".join(f".{part}" for part in location[1:])
