"""Operations of the server, and the call of one: method, path, parameters and body.

Both clients send these calls; nothing else describes a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from operator import index
from typing import Any, Generic, TypeVar

from crosstower.client import model_responses as models
from crosstower.client import responses
from crosstower.client.errors import ClientError
from crosstower.client.requests import (
    RankRequest,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
)
from crosstower.client.rules import Id

R = TypeVar("R")


@dataclass(frozen=True)
class Operation(Generic[R]):
    """An operation of the OpenAPI document.

    Args:
        method: of HTTP.
        path: below the address of the server.
        response: type of the response; `str` for a text.
        patient: whether a refusal for now, a 503, is waited out.
        slow: whether it takes long by nature.

    """

    method: str
    path: str
    response: type[R]
    patient: bool = True
    slow: bool = False


@dataclass(frozen=True)
class Call(Generic[R]):
    """One request.

    Args:
        operation: of the API.
        params: of the query string.
        content: the body, if any.
        repeatable: whether it can be sent again although it may have been processed.
        refused_whole: whether a temporary rejection means that nothing was done.
        rows: number of rows of a bulk request.

    """

    operation: Operation[R]
    params: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    repeatable: bool = True
    refused_whole: bool = True
    rows: int = 0

    def __str__(self) -> str:
        """Return method and path; parameters may name users."""
        return f"{self.operation.method} {self.operation.path}"


RECOMMEND = Operation("POST", "/v1/recommend", responses.ListResponse)
RANK = Operation("POST", "/v1/rank", responses.ListResponse)
SEARCH = Operation("POST", "/v1/search", responses.ListResponse)
SIMILAR = Operation("POST", "/v1/similar", responses.ListResponse)
PUT_ITEMS = Operation("PUT", "/v1/items", responses.ItemsResponse)
DELETE_ITEMS = Operation("DELETE", "/v1/items", responses.ItemsResponse)
ADD_EVENTS = Operation("POST", "/v1/events", responses.EventsResponse)
PUT_VECTORS = Operation("PUT", "/v1/vectors", responses.VectorsResponse)
PUT_USERS = Operation("PUT", "/v1/users", responses.UsersResponse)
GET_USER = Operation("GET", "/v1/users", responses.UserResponse)
DELETE_USERS = Operation("DELETE", "/v1/users", responses.ErasedResponse, slow=True)
EXPERIMENTS = Operation("GET", "/v1/experiments", models.ExperimentsResponse)
EXPERIMENT_REPORT = Operation(
    "GET", "/v1/experiments/report", models.ExperimentReportResponse, slow=True
)
MODEL = Operation("GET", "/v1/model", models.ModelResponse)
SWAP = Operation("POST", "/v1/model", responses.SwapResponse, slow=True)
VERSIONS = Operation("GET", "/v1/versions", models.VersionsSummary)
HEALTH = Operation("GET", "/healthz", responses.Health)
READY = Operation("GET", "/readyz", responses.Health, patient=False)
METRICS = Operation("GET", "/metrics", str)


def recommend(request: RecommendRequest) -> Call[responses.ListResponse]:
    """Return the call of `recommend`; the server may log its list, so it is not just repeated."""
    log = request.get("log")
    return Call(
        RECOMMEND,
        content=encoded(request, "request"),
        repeatable=log is False,
        refused_whole=log is not True,
    )


def rank(request: RankRequest) -> Call[responses.ListResponse]:
    """Return the call of `rank`."""
    return Call(RANK, content=encoded(request, "request"))


def search(request: SearchRequest) -> Call[responses.ListResponse]:
    """Return the call of `search`."""
    return Call(SEARCH, content=encoded(request, "request"))


def similar(request: SimilarRequest) -> Call[responses.ListResponse]:
    """Return the call of `similar`."""
    return Call(SIMILAR, content=encoded(request, "request"))


def get_user(user: Id) -> Call[responses.UserResponse]:
    """Return the call of `get_user`."""
    return Call(GET_USER, (("id", id_text(user, "user")),))


def experiments(user: Id | None) -> Call[models.ExperimentsResponse]:
    """Return the call of `experiments`."""
    return Call(EXPERIMENTS, () if user is None else (("user", id_text(user, "user")),))


def experiment_report(name: str | None) -> Call[models.ExperimentReportResponse]:
    """Return the call of `experiment_report`."""
    return Call(EXPERIMENT_REPORT, () if name is None else (("name", id_text(name, "name")),))


def swap(path: str) -> Call[responses.SwapResponse]:
    """Return the call of `swap`."""
    content = encoded({"path": path}, "request")
    return Call(SWAP, content=content, repeatable=False, refused_whole=False)


def id_text(value: Id, where: str) -> str:
    """Return an id as text for an address.

    >>> id_text(7, "user"), id_text("a/b", "user")
    ('7', 'a/b')

    Args:
        value: an integer, also one of NumPy, or a text.
        where: its name, for messages.

    Raises:
        ClientError: it is none of these, or cannot be sent.

    """
    try:
        text = value if isinstance(value, str) else str(_whole(value))
        text.encode()
    except (TypeError, ValueError) as error:
        raise ClientError(f"{where}: expected an integer or a text: {error}") from None
    return text


def _whole(value: int) -> int:
    if isinstance(value, bool):
        raise TypeError("bool is not an id")
    return index(value)


def encoded(value: Mapping[str, Any], where: str) -> bytes:
    """Return a value as JSON; times, NumPy numbers and arrays are converted.

    >>> encoded({"user": 7, "query": {"day": date(2026, 1, 31)}}, "request")
    b'{"user":7,"query":{"day":"2026-01-31"}}'

    Args:
        value: plain data.
        where: its name, for messages.

    Raises:
        ClientError: a value has no form in JSON, such as NaN.

    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
        )
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error).partition(" when serializing ")[0]
        raise ClientError(
            f"{where}: cannot be sent as JSON: {reason}; send None for a missing number, and text,"
            " numbers, lists and dictionaries otherwise"
        ) from None


def _plain(value: Any) -> Any:
    """Return a value that JSON does not know as one that it does."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if callable(as_list := getattr(value, "tolist", None)):  # a number or an array of NumPy
        return as_list()
    raise TypeError(f"{type(value).__name__} is not a type of JSON")
