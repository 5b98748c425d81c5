"""Records of requests that have their response."""

from types import SimpleNamespace

from crosstower.serving.http.finished import Finished


def test_the_route_is_a_template_and_never_client_input() -> None:
    scope = {"method": "GET", "path": "/v1/users/ann", "state": {"request_id": "r"}}
    assert Finished.of(scope, 404, 0.1) == Finished("GET", "none", 404, 0.1, "r")
    known = scope | {"route": SimpleNamespace(path="/v1/users")}
    assert Finished.of(known, 200, 0.1).route == "/v1/users"
