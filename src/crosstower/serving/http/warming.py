"""A warm-up request: caches and lazy parts are built before the server is ready."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import ASGIApp, Message

from crosstower.serving.http.service import Service
from crosstower.serving.http.settings import WARMING


async def warm_up(app: ASGIApp, service: Service) -> int:
    """Request one list through the whole application; return the status of the response.

    A bundle without a retrieval stage refuses the list, which warms up all but its models.
    """
    funnel = service.live.funnel if service.live is not None else None
    query = dict.fromkeys(funnel.needed_columns) if funnel is not None else {}
    body = json.dumps({"k": 1, "query": query, "stages": True, "explain": True}).encode()
    tokens = [token for scope in service.tokens.values() for token in scope]
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    headers += [(b"authorization", b"Bearer " + token.encode()) for token in tokens[:1]]
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    service.warming = True
    try:
        await app(_scope(headers), receive, send)
    finally:
        service.warming = False
    return status


def _scope(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    path = "/v1/recommend"
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        WARMING: True,
    }
