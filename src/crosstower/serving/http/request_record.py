"""A request that has its response, as metrics, logs and traces record it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestRecord:
    """A request that has its response; nothing here names a user.

    Args:
        method: such as POST.
        route: template of the route, such as /v1/recommend; none for unknown paths.
        status: of the response.
        seconds: of the whole request.
        request_id: of the client or made here.

    """

    method: str
    route: str
    status: int
    seconds: float
    request_id: str
