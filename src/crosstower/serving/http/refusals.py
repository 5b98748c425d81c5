"""Refusals as cached bytes, sent without running the framework."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

from crosstower.serving.http.problems import MEDIA, Problem

BUSY = (
    "this worker is busy: the waiting requests take all of its time; try again in a second, or"
    " start more workers"
)


@lru_cache(maxsize=64)
def refusal_bytes(status: int, detail: str, *, close: bool = False) -> bytes:
    """Return a whole HTTP response with problem details.

    Args:
        status: of the response.
        detail: one of few sentences, never client input.
        close: the connection ends with it.

    """
    phrase = HTTPStatus(status).phrase
    text = Problem(title=phrase, status=status, detail=detail).model_dump_json(exclude_none=True)
    lines = [f"HTTP/1.1 {status} {phrase}", f"content-type: {MEDIA}", "cache-control: no-store"]
    lines.append("x-content-type-options: nosniff")
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append("retry-after: 1")
    if close:
        lines.append("connection: close")
    return "\r\n".join([*lines, f"content-length: {len(text.encode())}", "", text]).encode()
