"""The client of a server, for programs that wait for each response."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx
from pydantic import SecretStr
from tenacity import Retrying

from crosstower.client import bulk, operations
from crosstower.client.bulk import Bulk
from crosstower.client.connection import Body, options, reaching, sent
from crosstower.client.model_responses import (
    ExperimentReportResponse,
    ExperimentsResponse,
    Limits,
    ModelResponse,
    VersionsSummary,
)
from crosstower.client.operations import Call
from crosstower.client.reading import hiding, read
from crosstower.client.requests import (
    Event,
    ItemVector,
    RankRequest,
    RecommendRequest,
    Row,
    SearchRequest,
    SimilarRequest,
)
from crosstower.client.responses import (
    ErasedResponse,
    EventsResponse,
    Health,
    ItemsResponse,
    ListResponse,
    Response,
    SwapResponse,
    UserResponse,
    UsersResponse,
    VectorsResponse,
)
from crosstower.client.retries import Retries
from crosstower.client.rules import Id

R = TypeVar("R")
B = TypeVar("B", bound=Response)


class Client:
    """A client of a server that `crosstower serve` has started.

    It keeps connections open, so make one and use it for all requests, also from several threads.

    >>> def respond(request: httpx.Request) -> httpx.Response:
    ...     item = {"rank": 1, "item_id": 17, "score": 0.9}
    ...     return httpx.Response(200, json={"request_id": "r1", "version": "v1", "items": [item]})
    >>> transport = httpx.MockTransport(respond)  # in place of a server
    >>> with Client("http://127.0.0.1:8000", transport=transport) as client:
    ...     response = client.recommend(user=42, k=1)
    >>> [item.item_id for item in response.items]
    [17]

    Args:
        base_url: address of the server, such as http://127.0.0.1:8000.
        token: one of the server's tokens, if it has any.
        timeout: seconds to connect, to send and to receive; of each attempt.
        slow_timeout: seconds that `swap`, `delete_users` and `experiment_report` may take.
        retries: number of times that a request is sent again, if that is safe.
        max_retry_wait: longest pause before it in seconds.
        max_connections: number of open connections.
        verify: whether to check the certificate of the server, or a context for it.
        transport: of httpx, in place of connections.

    Raises:
        ClientError: the address or the token is wrong.

    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        timeout: float = 15.0,
        slow_timeout: float = 300.0,
        retries: int = 2,
        max_retry_wait: float = 10.0,
        max_connections: int = 100,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        made = options(base_url, token=token, timeout=timeout, max_connections=max_connections,
                       verify=verify)  # fmt: skip
        self._http = httpx.Client(**made, transport=transport)
        self._base_url, self._slow_timeout = made["base_url"], slow_timeout
        self._token = None if token is None else SecretStr(token)
        self._retries = Retries(retries, max_retry_wait)
        self._known_limits: Limits | None = None

    def __enter__(self) -> Self:
        """Return the client; its connections are closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def __repr__(self) -> str:
        """Return the class and the address, without the token."""
        return f"{type(self).__name__}({str(self._base_url)!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def recommend(self, **request: Unpack[RecommendRequest]) -> ListResponse:
        """Return the best items for a user and a query."""
        return self._send(operations.recommend(request))

    def rank(self, **request: Unpack[RankRequest]) -> ListResponse:
        """Return given candidates in order: ids of `items`, or whole `rows`."""
        return self._send(operations.rank(request))

    def search(self, **request: Unpack[SearchRequest]) -> ListResponse:
        """Return the items nearest to a text."""
        return self._send(operations.search(request))

    def similar(self, **request: Unpack[SimilarRequest]) -> ListResponse:
        """Return the items most similar to one."""
        return self._send(operations.similar(request))

    def put_items(self, items: Iterable[Row]) -> ItemsResponse:
        """Store any number of new or changed items, whole rows; searchable immediately."""
        return self._send_all(bulk.put_items(items))

    def delete_items(self, ids: Iterable[Id]) -> ItemsResponse:
        """Delete any number of items; unknown ids are ignored."""
        return self._send_all(bulk.delete_items(ids))

    def add_events(self, events: Iterable[Event]) -> EventsResponse:
        """Store any number of impressions and feedback; an `event_id` is stored once."""
        return self._send_all(bulk.add_events(events))

    def put_vectors(self, vectors: Iterable[ItemVector], *, weights: str) -> VectorsResponse:
        """Replace vectors of any number of items, of the model that has these `weights`."""
        return self._send_all(bulk.put_vectors(vectors, weights))

    def put_users(self, users: Iterable[Row]) -> UsersResponse:
        """Store attributes of any number of users; they replace all earlier ones."""
        return self._send_all(bulk.put_users(users))

    def get_user(self, user: Id) -> UserResponse:
        """Return the attributes and the history of a user; a 404 if the user is unknown."""
        return self._send(operations.get_user(user))

    def delete_users(self, ids: Iterable[Id]) -> ErasedResponse:
        """Erase attributes and all events of any number of users."""
        return self._send_all(bulk.delete_users(ids))

    def experiments(self, user: Id | None = None) -> ExperimentsResponse:
        """Return the experiments of the server, and the arm of a user in each."""
        return self._send(operations.experiments(user))

    def experiment_report(self, name: str | None = None) -> ExperimentReportResponse:
        """Return the report of an experiment up to now; without a name, of the only one."""
        return self._send(operations.experiment_report(name))

    def model(self) -> ModelResponse:
        """Return the bundle that is served: version, tasks, columns, blend, limits, metrics."""
        return self._send(Call(operations.MODEL))

    def swap(self, path: str) -> SwapResponse:
        """Serve another bundle, a folder on the server; it is never sent twice."""
        return self._send(operations.swap(path))

    def versions(self) -> VersionsSummary:
        """Return the versions built by retraining, and which is live."""
        return self._send(Call(operations.VERSIONS))

    def health(self) -> Health:
        """Return that the process is alive."""
        return self._send(Call(operations.HEALTH))

    def ready(self) -> Health:
        """Return that the server is ready; raise a `ProblemError` immediately if it is not."""
        return self._send(Call(operations.READY))

    def metrics(self) -> str:
        """Return metrics for Prometheus."""
        return self._send(Call(operations.METRICS))

    def _send(self, call: Call[R]) -> R:
        return Retrying(**self._retries.policy(call))(partial(self._once, call))

    def _once(self, call: Call[R]) -> R:
        made = sent(call, self._http.timeout, self._slow_timeout)
        with (
            reaching(call, self._base_url, hiding(self._token)),
            self._http.stream(**made) as response,
        ):
            body = Body(call, response, made["timeout"].read)
            for part in response.iter_bytes():
                body.add(part)
        found = response.status_code, response.headers, body.content
        return read(call, *found, token=self._token)

    def _send_all(self, rows: Bulk[B]) -> B:
        limits = self._limits() if rows.needs_limits() else Limits()
        with rows.noting():
            for call in rows.calls(limits):
                rows.add(call, self._send(call))
        return rows.total()

    def _limits(self) -> Limits:
        """Return the limits of the server, which are fetched once."""
        if self._known_limits is None:
            self._known_limits = self.model().limits
        return self._known_limits
