"""Validation of plain arguments of public functions: counts, paths and types."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from crosstower.errors import CrosstowerError, RecipeError
from crosstower.values.addresses.address import Address, Place, place_of

_LONGEST = 60


def count_of(
    name: str, value: Any, *, error: type[CrosstowerError], advice: str = "give a whole number"
) -> int:
    """Return a whole number of at least 1.

    Args:
        name: of the argument.
        value: as given; NumPy integers are allowed, booleans and fractions are not.
        error: class of the exception.
        advice: the remedy, appended to the message.

    Raises:
        CrosstowerError: of class `error`, if the value is not a count.

    """
    try:
        number = None if isinstance(value, bool) else value.__index__()
    except AttributeError:
        number = None
    if number is None or number < 1:
        given = f"{number:,}" if number is not None else described(value)
        raise error(f"{name}: expected at least 1, got {given}; {advice}")
    return number


def path_of(name: str, value: Any, *, error: type[CrosstowerError], expected: str) -> Path:
    """Return a path of this machine.

    Args:
        name: of the argument.
        value: as given: text or a path.
        error: class of the exception.
        expected: the allowed value, such as "a run folder".

    Raises:
        CrosstowerError: of class `error`, if the value is not a path, or is an address.

    """
    place = place_argument(name, value, error=error, expected=expected)
    if isinstance(place, Address):
        raise error(
            f"{name}: expected {expected} on this machine, got {place}; copy it to a path first"
        )
    return place


def place_argument(name: str, value: Any, *, error: type[CrosstowerError], expected: str) -> Place:
    """Return a path of this machine, or an address.

    Args:
        name: of the argument.
        value: as given: text, a path or an address.
        error: class of the exception.
        expected: the allowed value, such as "a run folder".

    Raises:
        CrosstowerError: of class `error`, if the value is neither, or an address that cannot be
            used.

    """
    if not isinstance(value, str | PathLike | Address):
        raise error(f"{name}: expected {expected}, got {described(value)}")
    return place_of(value, error=error)


def check_kinds(**given: tuple[Any, type]) -> None:
    """Check the classes of arguments, each given as (value, class); None always passes.

    Raises:
        RecipeError: an argument has another class.

    """
    for name, (value, kind) in given.items():
        if value is not None and not isinstance(value, kind):
            raise RecipeError(
                f"{name}: expected a {kind.__name__}, got {described(value)}; create one with"
                f" {kind.__module__}.{kind.__name__}(...)"
            )


def described(value: Any) -> str:
    """Return a value for a message: plain values by their repr, others by their type.

    >>> described("a"), described({1: 2}), described(range(3)), described(None)
    ("'a'", 'a dict', 'a range', 'None')
    """
    if value is None or isinstance(value, str | int | float):
        return f"{value!r:.{_LONGEST}}"
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
