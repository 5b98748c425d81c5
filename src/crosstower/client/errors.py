"""Errors of the client. None of them holds the token."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from crosstower.client.responses import Response
from crosstower.errors import CrosstowerError


class ClientError(CrosstowerError):
    """A request that cannot be sent, or that got no usable response.

    `done` is the number of rows of a bulk request that the server has acknowledged before.
    """

    done: int = 0


class UnreachableError(ClientError):
    """No response: the server cannot be reached, was too slow, or closed the connection.

    `sent` is whether the server may have processed the request.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class UnexpectedResponseError(ClientError):
    """A response that the server does not send: of a proxy, or of another kind of server.

    `status` is its HTTP status.
    """

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


class Fault(Response):
    """One fault of a request."""

    where: str = Field(description="Where in the request, such as body.k.")
    problem: str = Field(description="Description of the problem.")


class Problem(Response):
    """Problem details of RFC 9457."""

    type: str = Field(default="about:blank", description="Kind of the problem.")
    title: str = Field(description="Phrase of the status.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="A sentence with the remedy.")
    errors: list[Fault] | None = Field(default=None, description="Faults of the request.")
    trace_id: str | None = Field(
        default=None, description="Id of the trace, if the server traces requests."
    )


class ProblemError(ClientError):
    """The server rejected a request, with problem details (RFC 9457).

    `status`, `title` and `detail` describe the problem, and `errors` each fault of the request.
    `request_id` and `trace_id` find the request in the log and the traces of the server.
    `retry_after` is in seconds; None if the server did not name a time.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        title: str = "",
        detail: str = "",
        errors: Sequence[Fault] = (),
        trace_id: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.title, self.detail = status, title, detail
        self.errors = list(errors)
        self.trace_id, self.request_id, self.retry_after = trace_id, request_id, retry_after
