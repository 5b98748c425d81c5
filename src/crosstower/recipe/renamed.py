"""Renamed keys and options: the old name works for one release and warns with the new one."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from crosstower.errors import CrosstowerWarning

NONE: Mapping[str, str] = {}
_STORED = ContextVar("stored", default=False)


def with_new_keys(
    plain: Any, names: Mapping[str, str], values: Mapping[str, str] = NONE, *, where: str
) -> Any:
    """Return a section with its old keys renamed; warn once per old key.

    Args:
        plain: the section as given; anything but a dict is returned unchanged.
        names: new key by old key.
        values: new value by old value of a renamed key.
        where: name of the section, for messages.

    Raises:
        ValueError: a section has both the old and the new key.

    """
    if not isinstance(plain, dict):
        return plain
    for old, new in names.items():
        if old not in plain:
            continue
        if new in plain:
            raise ValueError(f"{old} is the old name of {new}, and both are set; remove {old}")
        given = plain[old]
        value = values.get(given, given) if isinstance(given, str) else given
        if value == given:
            warn_renamed(f"{where}.{old}", f"{where}.{new}")
        else:
            warn_renamed(f"{where}.{old}: {given}", f"{where}.{new}: {value}")
        plain = {(new if k == old else k): (value if k == old else v) for k, v in plain.items()}
    return plain


def former_keys(names: Mapping[str, str], values: Mapping[str, str] = NONE, *, where: str) -> Any:
    """Return the validator of a section that still accepts old keys, as by `with_new_keys`.

    >>> from pydantic import BaseModel
    >>> class Limits(BaseModel):
    ...     max_queue: int
    ...     _former = former_keys({"waiting": "max_queue"}, where="limits")
    >>> with stored_names():
    ...     Limits.model_validate({"waiting": 3}).max_queue
    3

    Args:
        names: new key by old key.
        values: new value by old value of a renamed key.
        where: name of the section, for messages.

    """
    from pydantic import model_validator  # noqa: PLC0415 - the command line starts without it

    def rename(plain: Any) -> Any:
        return with_new_keys(plain, names, values, where=where)

    return model_validator(mode="before")(rename)


def with_new_options(
    arguments: Sequence[str], names: Mapping[str, str], values: Mapping[str, str] = NONE
) -> list[str]:
    """Return command-line arguments with old options renamed; warn once per old option.

    >>> with_new_options(["--port", "80"], {"--waiting": "--max-queue"})
    ['--port', '80']

    Args:
        arguments: as typed, without the command's name.
        names: new option by old option, as in `{"--waiting": "--max-queue"}`.
        values: new value by old value of a renamed option.

    """
    found, is_value = list[str](), False
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if option in names:
            warn_renamed(option, names[option])
            found.append(f"{names[option]}{equals}{values.get(value, value)}")
            is_value = not equals
        else:
            found.append(values.get(argument, argument) if is_value else argument)
            is_value = False
    return found


@contextmanager
def stored_names() -> Generator[None, None, None]:
    """Accept old names without a warning: files of runs and bundles are not edited by hand."""
    token = _STORED.set(True)
    try:
        yield
    finally:
        _STORED.reset(token)


def warn_renamed(old: str, new: str) -> None:
    """Warn that a name was replaced, unless it stands in a stored file."""
    if _STORED.get():
        return
    warnings.warn(
        f"{old} is now {new}; the old name stops working in the next release",
        CrosstowerWarning,
        stacklevel=3,
    )
