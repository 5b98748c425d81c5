"""Errors as problem details (RFC 9457), with remedies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from crosstower.errors import CrosstowerError, IndexUnavailableError, ServeError
from crosstower.recipe.validation import unknown_key
from crosstower.serving.http.tracing import current_trace
from crosstower.serving.state.database import StateUnavailableError

Result = TypeVar("Result")
MEDIA = "application/problem+json"
BUSY = (
    "this worker is busy: the waiting requests take all of its time; try again in a second, or"
    " start more workers"
)


class Fault(BaseModel):
    """One fault of a request."""

    where: str = Field(description="Where in the request, such as body.k.")
    problem: str


class Problem(BaseModel):
    """Problem details of RFC 9457; `errors` lists the faults of a request.

    `trace_id` is set if the server traces requests.
    """

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None
    trace_id: str | None = None


class ApiError(Exception):
    """A response that rejects a request; `reason` is the label of its counter."""

    def __init__(
        self, status: int, detail: str, *, reason: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.reason = status, detail, reason
        self.headers = dict(headers or {})


def too_late(seconds: float) -> ApiError:
    """Return the error of a request that has waited too long."""
    return ApiError(
        503,
        f"waited longer than {seconds:g} seconds; try again, or start more workers; a write may"
        " still have been stored",
        reason="timeout",
        headers={"Retry-After": "1"},
    )


def busy(most: int, what: str) -> ApiError:
    """Return the error of a request that would be one too many in the queue."""
    return ApiError(
        503,
        f"the queue for {what} is full ({most}); try again in a second, or start more workers",
        reason="busy",
        headers={"Retry-After": "1"},
    )


def no_room(held: int, most: int) -> ApiError:
    """Return the error of a write to a state that has reached its limit."""
    return ApiError(
        507,
        f"the state holds {held:,} bytes, at most {most:,} are allowed; write its events and delete"
        " them with: crosstower events STATE --delete-before DATE",
        reason="state_full",
    )


def problem_response(
    status: int,
    detail: str,
    *,
    errors: Sequence[Fault] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with problem details."""
    trace = current_trace()
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors) if errors else None,
        trace_id=None if trace is None else trace.trace_id,
    )
    text = problem.model_dump_json(exclude_none=True)
    return Response(text, status_code=status, media_type=MEDIA, headers=dict(headers or {}))


@lru_cache(maxsize=64)
def refusal_bytes(status: int, detail: str, *, close: bool = False) -> bytes:
    """Return a whole HTTP response with problem details, for refusals without the framework.

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


_FRAMEWORKS_UNREADABLE = "There was an error parsing the body"
_UNREADABLE = (
    "the body cannot be read as JSON: expected UTF-8, numbers of at most 4,300 digits and few"
    " levels of brackets"
)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route for the OpenAPI document."""
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


REFUSALS_OF_GET = documented(401, 403, 408, 421, 422, 431, 503)
"""Errors of all routes that read their arguments from the address."""

REFUSALS = documented(400, 401, 403, 408, 413, 421, 422, 431, 503)
"""Errors of all routes with a body, or that write."""


def respond_with_problems(app: FastAPI) -> None:
    """Make an app respond to every error with problem details."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(CrosstowerError, _ours)
    app.add_exception_handler(Exception, _unexpected)


def _invalid(request: Request, error: Any) -> Response:
    field = getattr(request.scope.get("route"), "body_field", None)
    errors = _without_consequences(error.errors())
    faults = [_fault(one, field.field_info.annotation if field else None) for one in errors]
    if any(one["type"] == "json_invalid" for one in errors):
        return problem_response(400, "the body is not JSON", errors=faults)
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return problem_response(422, f"{first.where}: {first.problem}{more}", errors=faults)


def _without_consequences(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out that a list is too short where only its wrong elements make it so."""
    inside = {tuple(one["loc"][:n]) for one in errors for n in range(len(one["loc"]))}
    return [one for one in errors if one["type"] != "too_short" or tuple(one["loc"]) not in inside]


def _fault(error: Mapping[str, Any], body: Any) -> Fault:
    where = ".".join(str(part) for part in error["loc"])
    reason = error.get("ctx", {}).get("error")
    problem = f"{error['msg']}: {reason}" if error["type"] == "json_invalid" else error["msg"]
    given = error.get("input")
    if error["type"] == "extra_forbidden" and body is not None:
        return Fault(where=where, problem=unknown_key(body, tuple(error["loc"][1:])))
    if error["type"] in ("missing", "json_invalid") or isinstance(given, dict | list):
        return Fault(where=where, problem=problem)
    return Fault(where=where, problem=f"{problem}, got {_short(given)}")


def _short(given: Any) -> str:
    try:
        text = json.dumps(given, allow_nan=True, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(given)
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate is not valid text
    return text if len(text) <= 80 else f"{text[:80]}…"


def _http(_request: Request, error: Any) -> Response:
    detail = _UNREADABLE if error.detail == _FRAMEWORKS_UNREADABLE else str(error.detail)
    return problem_response(error.status_code, detail, headers=error.headers)


def _refused(request: Request, error: Any) -> Response:
    request.app.state.service.metrics.refused(error.reason)
    return problem_response(error.status, error.detail, headers=error.headers)


def _ours(request: Request, error: Any) -> Response:
    if isinstance(error, StateUnavailableError):
        request.app.state.service.metrics.refused("state")
        return problem_response(503, str(error), headers={"Retry-After": "5"})
    if isinstance(error, IndexUnavailableError):
        request.app.state.service.metrics.refused("index")
        return problem_response(503, str(error), headers={"Retry-After": "5"})
    if isinstance(error, ServeError):  # the disk is full, not the client's fault
        request.app.state.service.metrics.refused("disk")
        return problem_response(503, str(error), headers={"Retry-After": "10"})
    return problem_response(422, str(error))


def _unexpected(_request: Request, _error: Exception) -> Response:
    return problem_response(500, "the server failed; its log says why")
