"""Bulk requests: any number of rows, in calls within the limits of the server."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from crosstower.client import operations
from crosstower.client.errors import ClientError
from crosstower.client.model_responses import Limits
from crosstower.client.operations import Call, Operation, encoded, id_text
from crosstower.client.requests import Event, ItemVector, Row
from crosstower.client.responses import (
    ErasedResponse,
    EventsResponse,
    ItemsResponse,
    Response,
    UsersResponse,
    VectorsResponse,
)
from crosstower.client.rules import Id

R = TypeVar("R", bound=Response)
_MOST_IDS = 1_000
_URL_BYTES = 8_000  # accepted by servers and proxies


@dataclass
class Bulk(Generic[R]):
    """A bulk request, and the sum of its responses so far.

    Args:
        operation: of each call.
        name: of the rows, for messages.
        rows: the rows; a generator is read as the calls are sent.
        calls_of: returns the calls of rows within limits.
        last: field whose last value counts; all others are added up.

    """

    operation: Operation[R]
    name: str
    rows: Iterable[Any]
    calls_of: Callable[[Iterable[Any], Limits], Iterator[Call[R]]]
    last: str | None = None
    done: int = 0
    _sums: dict[str, int] = field(default_factory=dict[str, int])

    def needs_limits(self) -> bool:
        """Return whether there may be too many rows for one call.

        Raises:
            ClientError: the rows are a single one, such as the id "42", whose characters would
                count as ids; or they cannot be read one after the other.

        """
        if isinstance(self.rows, str | bytes | Mapping) or not hasattr(self.rows, "__iter__"):
            raise ClientError(
                f"{self.name}: expected a list or a generator, got {type(self.rows).__name__}; put"
                " a single one in a list"
            )
        rows = iter(self.rows)
        first = list(islice(rows, 2))
        self.rows = chain(first, rows)
        return len(first) > 1

    def calls(self, limits: Limits) -> Iterator[Call[R]]:
        """Yield the calls; at least one."""
        return self.calls_of(self.rows, limits)

    @contextmanager
    def noting(self) -> Generator[None]:
        """Add the number of acknowledged rows to an error, also of the rows' own generator."""
        try:
            yield
        except Exception as error:
            if isinstance(error, ClientError):
                error.done = self.done
            if self.done:
                error.add_note(f"{self.done:,} {self.name} before were acknowledged")
            raise

    def add(self, call: Call[R], response: R) -> None:
        """Add the response to a call."""
        self.done += call.rows
        for name in type(response).model_fields:
            value, before = getattr(response, name), self._sums.get(name, 0)
            self._sums[name] = value if name == self.last else before + value

    def total(self) -> R:
        """Return the sum of the responses."""
        return self.operation.response(**self._sums)


def put_items(items: Iterable[Row]) -> Bulk[ItemsResponse]:
    """Return the bulk request of `put_items`."""
    return _put(operations.PUT_ITEMS, "items", items, "items")


def put_users(users: Iterable[Row]) -> Bulk[UsersResponse]:
    """Return the bulk request of `put_users`."""
    return _put(operations.PUT_USERS, "users", users, "users")


def add_events(events: Iterable[Event]) -> Bulk[EventsResponse]:
    """Return the bulk request of `add_events`."""
    return _put(operations.ADD_EVENTS, "events", events, "events")


def put_vectors(vectors: Iterable[ItemVector], weights: str) -> Bulk[VectorsResponse]:
    """Return the bulk request of `put_vectors`."""
    return _put(operations.PUT_VECTORS, "vectors", vectors, "items", {"weights": weights})


def delete_items(ids: Iterable[Id]) -> Bulk[ItemsResponse]:
    """Return the bulk request of `delete_items`."""
    return _delete(operations.DELETE_ITEMS, "items", ids, last="sequence")


def delete_users(ids: Iterable[Id]) -> Bulk[ErasedResponse]:
    """Return the bulk request of `delete_users`."""
    return _delete(operations.DELETE_USERS, "users", ids)


def _put(
    operation: Operation[R],
    name: str,
    rows: Iterable[Any],
    limit: str,
    more: Mapping[str, Any] | None = None,
) -> Bulk[R]:
    given = encoded(more or {}, name)[1:-1]
    head = b"{" + given + (b"," if given else b"") + f'"{name}":['.encode()

    def calls(rows: Iterable[Any], limits: Limits) -> Iterator[Call[R]]:
        texts = (encoded(row, f"{name}[{number}]") for number, row in enumerate(rows))
        most = limits.body_bytes - len(head) - 2
        for part in _parts(texts, getattr(limits, limit), most):
            yield Call(operation, content=head + b",".join(part) + b"]}", rows=len(part))

    return Bulk(operation, name, rows, calls, last="sequence")


def _delete(
    operation: Operation[R], name: str, ids: Iterable[Id], last: str | None = None
) -> Bulk[R]:
    def calls(ids: Iterable[Id], limits: Limits) -> Iterator[Call[R]]:
        most = min(_URL_BYTES, limits.header_bytes // 2)
        texts = (id_text(one, f"ids[{number}]").encode() for number, one in enumerate(ids))
        for part in _parts(texts, _MOST_IDS, most, each=_in_url):
            params = tuple(("id", one.decode()) for one in part)
            yield Call(operation, params, rows=len(part))

    return Bulk(operation, name, ids, calls, last=last)


def _in_url(text: bytes) -> int:
    """Return the largest size of an id in a URL, where three characters may stand for a byte."""
    return len("&id=") + 3 * len(text)


def _in_body(text: bytes) -> int:
    return len(text) + 1


def _parts(
    texts: Iterable[bytes], most: int, size: int, each: Callable[[bytes], int] = _in_body
) -> Iterator[list[bytes]]:
    """Yield texts in parts of at most `most` texts and `size` bytes, or of one larger text."""
    part, held, any_part = list[bytes](), 0, False
    for text in texts:
        if part and (len(part) == most or held + each(text) > size):
            yield part
            part, held, any_part = [], 0, True
        part.append(text)
        held += each(text)
    if part or not any_part:  # the server says what it thinks of no rows
        yield part
