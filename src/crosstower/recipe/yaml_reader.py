"""A YAML reader in which only true and false are booleans, as in YAML 1.2.

PyYAML follows YAML 1.1, which also reads on, off, yes, no, y and n as booleans. The key `on` of a
join and the category NO would be lost.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

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


def read_yaml(text: str) -> Any:
    """Parse a YAML text.

    >>> read_yaml("{on: user_id, country: NO, flag: true}")
    {'on': 'user_id', 'country': 'NO', 'flag': True}

    Raises:
        yaml.YAMLError: the text is not YAML.

    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from SafeLoader
