"""Every error that Crosstower raises on purpose.

A message names the thing, the given value, the allowed values, and the remedy.
The command line prints the message without a traceback and exits with `exit_code`.
"""

import inspect
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class CrosstowerError(Exception):
    """Base of all errors raised on purpose; catch it to catch them all."""

    exit_code: ClassVar[int] = 1


class RecipeError(CrosstowerError):
    """The recipe or schema is wrong: an unknown key, an impossible combination."""

    exit_code = 2


class DataError(CrosstowerError):
    """The data cannot be read, or does not match the schema."""

    exit_code = 3


class TrainingError(CrosstowerError):
    """Training cannot continue: the loss is not finite, the disk is full."""

    exit_code = 4


class RunError(CrosstowerError):
    """A run folder is missing, incomplete, or cannot be used for this request."""

    exit_code = 5


class QueryError(CrosstowerError):
    """A query is wrong: its columns, its filter, its k or its vector."""

    exit_code = 2


class BundleError(CrosstowerError):
    """A bundle is missing, damaged, of a newer format, or its parts do not belong together."""

    exit_code = 5


class ServeError(CrosstowerError):
    """The state of a server cannot be read or written: the disk is full, a file is damaged."""

    exit_code = 5


class IndexUnavailableError(ServeError):
    """Item vectors outside of the process cannot be searched for now; try again later."""


class CrosstowerWarning(UserWarning):
    """Warning that stops nothing: rows left out, an unknown user, a low match rate."""


def notify(sentences: Iterable[str]) -> None:
    """Warn of each thing to know; a warning names the line of the user's code that led to it."""
    for sentence in sentences:
        warnings.warn(sentence, CrosstowerWarning, stacklevel=_calls_within() + 2)


def _calls_within() -> int:
    """Return the number of calls within the package that led to `notify`."""
    frame, calls = inspect.currentframe(), -2  # this function, and notify
    while frame is not None and _is_own(frame.f_globals.get("__name__", "")):
        frame, calls = frame.f_back, calls + 1
    return calls


def _is_own(module: str) -> bool:
    return module.partition(".")[0] == __name__.partition(".")[0]


def query_error(error: DataError) -> QueryError:
    """Return the error of a query with a bad cell, without the number of its only row."""
    return QueryError(f"query: {str(error).partition(' in row ')[0]}")


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error of a library, or its type if it has no words.

    >>> first_line(ValueError("no such file\nCaused by: ...")), first_line(MemoryError())
    ('no such file', 'MemoryError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def did_you_mean(given: str, allowed: list[str]) -> str:
    """Return the allowed name nearest to `given` as a hint, or an empty string.

    >>> did_you_mean("epoch", ["epochs", "seed"])
    "; did you mean 'epochs'?"
    """
    near = get_close_matches(given, allowed, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
