"""From the response of HTTP to a typed one, or to an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

from pydantic import BaseModel, SecretStr, ValidationError

from crosstower.client.errors import Problem, ProblemError, UnexpectedResponseError
from crosstower.client.operations import Call

R = TypeVar("R")
_SHOWN = 200  # characters of a body in a message
Hide = Callable[[str], str]


def hiding(token: SecretStr | None) -> Hide:
    """Return a function that hides a token in a text.

    >>> hiding(SecretStr("s3cr3t"))("Authorization: Bearer s3cr3t")
    'Authorization: Bearer TOKEN'
    """
    if token is None:
        return lambda text: text
    return lambda text: text.replace(token.get_secret_value(), "TOKEN")


def read(
    call: Call[R],
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    *,
    token: SecretStr | None = None,
) -> R:
    """Return the response to a call.

    Args:
        call: that was sent.
        status: of HTTP.
        headers: with names in small letters.
        content: the body.
        token: of the client, which no error shows, even if the response repeats it.

    Raises:
        ProblemError: the server refuses the request.
        UnexpectedResponseError: anything else is wrong with the response.

    """
    hide = hiding(token)
    if status != 200:
        raise _refusal(call, status, headers, content, hide)
    response = call.operation.response
    if response is str:
        return content.decode("utf-8", "replace")  # type: ignore[return-value]
    if not issubclass(response, BaseModel):
        raise TypeError(f"{response.__name__}: expected a model or str")
    try:
        return response.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise _unexpected(call, status, headers, hide(what), content, hide=hide) from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks to wait for; None if it names no time.

    >>> retry_after({"retry-after": "3"}), retry_after({}), retry_after({"retry-after": "soon"})
    (3.0, None, None)
    """
    given = headers.get("retry-after", "").strip()
    if given.isdecimal() and given.isascii():
        return float(given)
    try:
        time = parsedate_to_datetime(given)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return max((time - datetime.now(UTC)).total_seconds(), 0.0)


def _refusal(
    call: Call[R], status: int, headers: Mapping[str, str], content: bytes, hide: Hide
) -> ProblemError | UnexpectedResponseError:
    try:
        problem = Problem.model_validate_json(content)
    except ValidationError:
        return _unexpected(call, status, headers, "expected problem details", content, hide=hide)
    problem = Problem.model_validate(_each_text(problem.model_dump(), hide))
    request_id = headers.get("x-request-id")
    return ProblemError(
        f"{call}: {status} {problem.title}: {problem.detail}",
        status=status,
        title=problem.title,
        detail=problem.detail,
        errors=problem.errors or (),
        trace_id=problem.trace_id,
        request_id=None if request_id is None else hide(request_id),
        retry_after=retry_after(headers),
    )


def _unexpected(
    call: Call[R],
    status: int,
    headers: Mapping[str, str],
    what: str,
    content: bytes,
    *,
    hide: Hide,
) -> UnexpectedResponseError:
    shown = json.dumps(hide(content.decode("utf-8", "replace"))[:_SHOWN], ensure_ascii=False)
    return UnexpectedResponseError(
        f"{call}: {status}: not a response of this version of the server: {what}; check the"
        f" address, and the proxy before it; the body begins: {shown}",
        status=status,
        retry_after=retry_after(headers),
    )


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Return plain data with each text changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(one, change) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {k: _each_text(one, change) for k, one in cast("dict[str, Any]", value).items()}
    return value
