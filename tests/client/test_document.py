"""The client against the OpenAPI document of the server."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from crosstower import client as face
from crosstower.client import AsyncClient, Client, ClientError, operations
from crosstower.client import errors as client_errors
from crosstower.client import requests as request_types
from crosstower.client import rules as rule_types
from crosstower.client.operations import Operation
from crosstower.serving.http.app import openapi_document

from .forms import forgiving, form_of, form_of_type

JSON = "application/json"
CALLS: dict[str, Callable[[Client], Any]] = {
    "recommend": lambda client: client.recommend(),
    "rank": lambda client: client.rank(items=[1]),
    "search": lambda client: client.search(text="sea"),
    "similar": lambda client: client.similar(item=1),
    "put_items": lambda client: client.put_items([{"id": 1}]),
    "delete_items": lambda client: client.delete_items([1]),
    "add_events": lambda client: client.add_events([{"event_id": "e", "type": "click"}]),
    "put_vectors": lambda client: client.put_vectors([{"id": 1, "vector": [0.5]}], weights="w"),
    "put_users": lambda client: client.put_users([{"user_id": 1}]),
    "get_user": lambda client: client.get_user(1),
    "delete_users": lambda client: client.delete_users([1]),
    "experiments": lambda client: client.experiments(1),
    "experiment_report": lambda client: client.experiment_report("name"),
    "model": lambda client: client.model(),
    "swap": lambda client: client.swap("/bundles/new"),
    "versions": lambda client: client.versions(),
    "health": lambda client: client.health(),
    "ready": lambda client: client.ready(),
    "metrics": lambda client: client.metrics(),
}
"""A call of each method with all parameters of its query string."""

BODIES = {
    "recommend": request_types.RecommendRequest,
    "rank": request_types.RankRequest,
    "search": request_types.SearchRequest,
    "similar": request_types.SimilarRequest,
}
"""Types of the bodies that are keyword arguments."""

ROWS = {
    "put_items": "items",
    "put_users": "users",
    "add_events": "events",
    "put_vectors": "vectors",
}
"""Key of the rows in the bodies of bulk requests."""


def public(kind: type) -> dict[str, Any]:
    found = {n: m for n, m in vars(kind).items() if inspect.isfunction(m) and n[0] != "_"}
    return {name: method for name, method in found.items() if name != "close"}


def request_of(name: str) -> httpx.Request:
    """Return the request that a method sends."""
    found: list[httpx.Request] = []

    def keep(request: httpx.Request) -> httpx.Response:
        found.append(request)
        return httpx.Response(404)

    with (
        Client("http://server", transport=httpx.MockTransport(keep)) as client,
        pytest.raises(ClientError),
    ):
        CALLS[name](client)
    return found[0]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def operation_of(name: str, document: Mapping[str, Any]) -> Any:
    request = request_of(name)
    return document["paths"][request.url.path][request.method.lower()]


def test_the_client_has_exactly_the_operations_of_the_document(document: dict[str, Any]) -> None:
    there = {(m.upper(), path) for path, one in document["paths"].items() for m in one}
    described = [o for o in vars(operations).values() if isinstance(o, Operation)]
    assert sorted((o.method, o.path) for o in described) == sorted(there)
    called = [(r.method, r.url.path) for r in map(request_of, CALLS)]
    assert sorted(called) == sorted(there)
    assert public(Client).keys() == CALLS.keys()


def test_both_clients_have_the_same_methods() -> None:
    one, other = public(Client), public(AsyncClient)
    assert one.keys() == other.keys()
    for name in one:
        assert inspect.signature(one[name]) == inspect.signature(other[name])
        assert one[name].__doc__ == other[name].__doc__
        assert inspect.iscoroutinefunction(other[name])
    assert inspect.signature(Client).parameters.keys() == (
        inspect.signature(AsyncClient).parameters.keys()
    )


@pytest.mark.parametrize("name", CALLS)
def test_parameters_are_those_of_the_document(name: str, document: dict[str, Any]) -> None:
    request, operation = request_of(name), operation_of(name, document)
    assert set(request.url.params) == {p["name"] for p in operation.get("parameters", ())}
    assert ("requestBody" in operation) == bool(request.content)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_have_the_fields_of_the_document(name: str, document: dict[str, Any]) -> None:
    body = operation_of(name, document)["requestBody"]["content"][JSON]["schema"]
    assert form_of_type(BODIES[name]) == form_of(body, document)


@pytest.mark.parametrize("name", ROWS)
def test_rows_have_the_fields_of_the_document(name: str, document: dict[str, Any]) -> None:
    body = operation_of(name, document)["requestBody"]["content"][JSON]["schema"]
    hints = inspect.get_annotations(getattr(Client, name), eval_str=True)
    (given,) = (hint for argument, hint in hints.items() if argument == ROWS[name])
    (row,) = given.__args__
    fields = {ROWS[name]: ("list", form_of_type(row))}
    fields |= {key: form_of_type(hints[key]) for key in hints.keys() - {ROWS[name], "return"}}
    assert ("object", frozenset(fields.items()), frozenset(fields)) == form_of(body, document)


def test_the_body_of_a_swap_is_that_of_the_document(document: dict[str, Any]) -> None:
    body = operation_of("swap", document)["requestBody"]["content"][JSON]["schema"]
    assert form_of(body, document) == (
        "object",
        frozenset({("path", "string")}),
        frozenset({"path"}),
    )


@pytest.mark.parametrize("name", CALLS)
def test_responses_have_the_fields_of_the_document(name: str, document: dict[str, Any]) -> None:
    content = operation_of(name, document)["responses"]["200"]["content"]
    expected = inspect.get_annotations(getattr(Client, name), eval_str=True)["return"]
    if expected is str:
        assert content.keys() == {"text/plain"}
        return
    assert form_of_type(expected) == forgiving(form_of(content[JSON]["schema"], document))


def test_problems_have_the_fields_of_the_document(document: dict[str, Any]) -> None:
    theirs = form_of(document["components"]["schemas"]["Problem"], document)
    assert form_of_type(client_errors.Problem) == theirs
    fields = {"title", "status", "detail", "errors", "trace_id"}
    assert fields <= vars(client_errors.ProblemError("")).keys()


def test_all_types_of_the_document_are_exported_or_of_the_rules(document: dict[str, Any]) -> None:
    wrapped = {"ItemsRequest", "EventsRequest", "UsersRequest", "VectorsRequest", "SwapRequest"}
    named = document["components"]["schemas"].keys() - wrapped - {"JsonValue"}
    assert named <= {*face.__all__, *vars(rule_types)}
