"""Dependencies shared by routes: bearer tokens, the worker's service, and limits of numbers."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any

from fastapi import Depends
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from crosstower.serving.http.admission import PLACE, QueuePlace
from crosstower.serving.http.problems import ApiError
from crosstower.serving.http.service import Service
from crosstower.serving.http.settings import SCOPES, Scope


def allowed_scopes(given: str | None, tokens: Mapping[Scope, tuple[str, ...]]) -> frozenset[Scope]:
    """Return the scopes that a token grants: its own and those below it.

    Without tokens in the server everything is allowed. All tokens are compared, each in constant
    time.
    """
    if not any(tokens.values()):
        return frozenset(SCOPES)
    opened: set[Scope] = set()
    given_token = (given or "").encode("utf-8", "surrogateescape")
    for rank, scope in enumerate(SCOPES):
        for token in tokens[scope]:
            if hmac.compare_digest(token.encode(), given_token):
                opened |= set(SCOPES[: rank + 1])
    return frozenset(opened)


class Needs(HTTPBearer):
    """A dependency that rejects a request without a token of a scope.

    It is the security scheme of the document itself: a second dependency for the token would cost
    as much as the check.
    """

    def __init__(self, scope: Scope) -> None:
        words = "One of the server's tokens, if it has any."
        super().__init__(scheme_name="HTTPBearer", description=words, auto_error=False)
        self._scope: Scope = scope

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        """Return the token, if one was given.

        Raises:
            Refusal: it does not open the scope.

        """
        if request.scope.get(_OPENED) == self._scope:
            return None
        given = await super().__call__(request)
        tokens = request.app.state.service.tokens
        opened = allowed_scopes(given.credentials if given else None, tokens)
        if self._scope in opened:
            request.scope[_OPENED] = self._scope
            return given
        if opened:
            detail = f"this token may not {_WORDS[self._scope]}; use a token for {self._scope}"
            raise ApiError(403, detail, reason="forbidden")
        raise ApiError(
            401,
            "no token of this server; send one as Authorization: Bearer TOKEN",
            reason="unauthorised",
            headers={"WWW-Authenticate": "Bearer"},
        )


class TokenFirstRoute(APIRoute):
    """A route that checks the token before the body is read and parsed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the checks that the route's dependencies hold."""
        handler = super().get_route_handler()
        checks = [d.dependency for d in self.dependencies if isinstance(d.dependency, Needs)]

        async def checked(request: Request) -> Response:
            for check in checks:
                await check(request)
            return await handler(request)

        return checked


class ReadRoute(TokenFirstRoute):
    """A route whose work stops when the client closes the connection, as nothing is changed."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the check of the token."""
        handler = super().get_route_handler()

        async def stopping(request: Request) -> Response:
            place: QueuePlace | None = request.scope.get(PLACE)
            if place is not None:
                place.stop_with_client()
            return await handler(request)

        return stopping


async def _service(request: Request) -> Service:  # a plain function would run in another thread
    return request.app.state.service


Worker = Annotated[Service, Depends(_service)]
"""The service of the worker, as a parameter of a route."""


def refuse_above(name: str, given: int, most: int, how: str = "") -> None:
    """Reject a number in a body that exceeds a limit of the server.

    Raises:
        ApiError: names the limit.

    """
    if given > most:
        detail = f"body.{name}: this server allows at most {most:,}{how}, got {given:,}"
        raise ApiError(422, detail, reason="limit")


_OPENED = "crosstower.opened"  # the key in a request's scope of the scope that was checked
_WORDS: dict[Scope, str] = {
    "read": "read",
    "write": "change items or add events",
    "admin": "change the bundle or read reports of experiments",
}
