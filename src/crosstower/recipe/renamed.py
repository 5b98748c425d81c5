"""Renamed options, and the warning about an old name, which works for one release."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from crosstower.errors import CrosstowerWarning

NONE: Mapping[str, str] = {}
_STORED = ContextVar("stored", default=False)


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
