"""Interface of the database of a server's state, for all engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from crosstower.errors import ServeError

FORMAT = 1
"""Version of the tables."""


class StateUnavailableError(ServeError):
    """The database cannot be reached at the moment; a write was refused or its outcome is open."""


class Written(Protocol):
    """Result of statements that write."""

    @property
    def rowcount(self) -> int:
        """Number of rows that they have written."""
        ...


class QueryResult(Written, Protocol):
    """Result of a statement."""

    def fetchone(self) -> Any:
        """Return the next row, None at the end."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all further rows."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield all further rows."""
        ...


class Connection(Protocol):
    """Runs SQL; parameters are written as `?`."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> QueryResult:
        """Run one statement."""
        ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Written:
        """Run a statement once per row of parameters."""
        ...


class Database(ABC):
    """Transactions that are stored whole or not at all, and survive a killed process.

    Rows are numbered in the order in which transactions commit: whoever has read a number finds
    no lower one later. All methods raise `ServeError` if the database is broken, and
    `StateUnavailableError` while it cannot be reached.

    Args:
        place: where it is, for messages; without a password.

    """

    def __init__(self, place: str) -> None:
        self.place = place

    @property
    @abstractmethod
    def shared(self) -> bool:
        """Whether servers on several machines may use it at once."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """Yield a connection inside a transaction, which is stored whole or not at all."""

    @abstractmethod
    def upkeep(self) -> AbstractContextManager[Connection]:
        """Yield a connection for a long deletion that no reader has to hear of."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Yield a connection that reads; fetch all rows of a statement before the end."""

    @abstractmethod
    def version(self) -> int:
        """Return a number that changes with every commit of another process, and of our own."""

    @abstractmethod
    def follow(self) -> None:
        """Keep the version up to date in the background, so that asking for it never waits.

        From then on the time of a statement is limited, as a server needs it.
        """

    @abstractmethod
    def behind(self) -> float:
        """Return the seconds for which newer commits may have been missed."""

    @abstractmethod
    def alone(self, work: str) -> AbstractContextManager[None]:
        """Run the block exclusively: no other process may do the same kind of work meanwhile.

        Args:
            work: its kind, a word such as retraining.

        Raises:
            ServeError: another process does it.

        """

    @abstractmethod
    def check(self) -> None:
        """Look for damage, once before a server starts."""

    @abstractmethod
    def used_bytes(self) -> int:
        """Return the bytes in use."""

    @abstractmethod
    def check_scrub(self) -> None:
        """Refuse to scrub where this process may not, before anything is deleted."""

    @abstractmethod
    def scrub(self) -> None:
        """Remove the remains of deleted rows."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()
