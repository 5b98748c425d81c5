"""A request that has its response, as metrics, logs and traces record it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope


@dataclass(frozen=True)
class Finished:
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

    @staticmethod
    def of(scope: Scope, status: int, seconds: float) -> Finished:
        """Return the record of an ASGI request whose id is in its state."""
        path = getattr(scope.get("route"), "path", None)
        route = path if isinstance(path, str) else "none"  # never client input
        return Finished(scope["method"], route, status, seconds, scope["state"]["request_id"])
