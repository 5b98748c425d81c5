"""Who may do what: bearer tokens for read, write and admin."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from crosstower.serve.problems import Refusal
from crosstower.serve.settings import SCOPES, Scope

_BEARER = HTTPBearer(auto_error=False, description="One of the server's tokens, if it has any.")
Given = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def allowed_scopes(given: str | None, tokens: Mapping[Scope, tuple[str, ...]]) -> frozenset[Scope]:
    """Return the scopes that a token opens: its own and those below it.

    Without any token in the server everything is open. All tokens are compared, each in constant
    time.
    """
    if not any(tokens.values()):
        return frozenset(SCOPES)
    opened: set[Scope] = set()
    asked = (given or "").encode("utf-8", "surrogateescape")
    for rank, scope in enumerate(SCOPES):
        for token in tokens[scope]:
            if hmac.compare_digest(token.encode(), asked):
                opened |= set(SCOPES[: rank + 1])
    return frozenset(opened)


def needs(scope: Scope) -> Callable[[Request, Given], Awaitable[None]]:
    """Return what refuses a request without a token of a scope."""

    async def check(request: Request, given: Given) -> None:
        tokens = request.app.state.service.tokens
        opened = allowed_scopes(given.credentials if given else None, tokens)
        if scope in opened:
            return
        if opened:
            raise Refusal(
                403, f"this token may not {_WORDS[scope]}; use one of {scope}", reason="forbidden"
            )
        raise Refusal(
            401,
            "no token of this server; send one as Authorization: Bearer TOKEN",
            reason="unauthorised",
            headers={"WWW-Authenticate": "Bearer"},
        )

    return check


_WORDS: dict[Scope, str] = {
    "read": "read",
    "write": "change items or add events",
    "admin": "change the bundle",
}
