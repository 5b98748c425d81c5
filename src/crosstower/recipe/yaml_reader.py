"""Recipes as plain data: YAML 1.2, in which only true and false are booleans, and overrides.

PyYAML follows YAML 1.1, which also reads on, off, yes, no, y and n as booleans. The key `on` of a
join and the category NO would be lost.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from crosstower.errors import RecipeError
from crosstower.recipe.events import ROWS
from crosstower.recipe.sql import anchored_connection
from crosstower.values.addresses.address import Place, anchored
from crosstower.values.addresses.remote import read_text

_BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """The safe loader without the booleans of YAML 1.1."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    r"""Return a text in which escaped halves of a character, as JSON writes them, are joined."""
    value = str(loader.construct_scalar(node))  # pyright: ignore[reportUnknownMemberType]
    try:
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        words = f"{value!r} has half of a character"
        raise yaml.constructor.ConstructorError(None, None, words, node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def read_yaml(text: str) -> Any:
    """Parse a YAML text.

    >>> read_yaml("{on: user_id, country: NO, flag: true}")
    {'on': 'user_id', 'country': 'NO', 'flag': True}

    Raises:
        yaml.YAMLError: the text is not YAML.

    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from SafeLoader


def read_mapping(
    path: Place, *, named: str, empty: str, missing: str | None = None
) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Args:
        path: of the file.
        named: the content of the file, as the subject of a sentence: "the utility is".
        empty: end of the message about a file without keys.
        missing: end of the message about a file that cannot be read; the system's reason if None.

    Raises:
        RecipeError: the file cannot be read, is not YAML, or has no keys.

    """
    try:
        plain: Any = read_yaml(read_text(path))
    except OSError as error:
        reason = missing or f"cannot be read: {error.strerror or error}"
        raise RecipeError(f"{path}: {reason}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {named} not YAML: {error}") from error
    if not isinstance(plain, dict):
        raise RecipeError(f"{path}: {empty}")
    return plain


def anchor_paths(plain: dict[str, Any], folder: Place) -> None:
    """Make the data paths of a recipe absolute; addresses are.

    Args:
        plain: the recipe.
        folder: base of relative paths.

    """
    data = plain.get("data")
    joins = (data.get("joins") if isinstance(data, dict) else None) or []
    logs = _event_logs(data)
    holders = [(holder, "path") for holder in [data, *joins, *logs]]
    holders += [(plain.get("retrieval"), "items")]
    holders += [(data, "valid"), (data, "test")]
    holders += [(given, "path") for given in _pretrained(plain.get("training"))]
    for holder, key in holders:
        if not isinstance(holder, dict):
            continue
        path = holder.get(key)
        if isinstance(path, str) and not path.startswith("world:"):
            holder[key] = anchored(path, folder)
    if isinstance(data, dict) and isinstance(data.get("connection"), str):
        data["connection"] = anchored_connection(data["connection"], folder)


def _pretrained(training: Any) -> list[Any]:
    """Return the given vectors of a section, which then holds each as a mapping."""
    given = training.get("pretrained") if isinstance(training, dict) else None
    if not isinstance(given, dict):
        return []
    for name, one in given.items():
        given[name] = {"path": one} if isinstance(one, str) else one
    return list(given.values())


def _event_logs(data: Any) -> list[Any]:
    """Return the event logs of a section, which then holds each as a mapping."""
    if not isinstance(data, dict) or not data.get("events"):
        return []
    events = data["events"]
    given = events if isinstance(events, list) else [events]
    data["events"] = [
        {"path": log} if isinstance(log, str) and log != ROWS else log for log in given
    ]
    return data["events"]
