"""The client with a server, and with servers that fail; test_pages.py has one in processes."""

import logging
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from crosstower.client import (
    Client,
    ClientError,
    ProblemError,
    UnexpectedResponseError,
    UnreachableError,
)
from crosstower.serving.bundle import Bundle

from ..serving.http.client import LISTING
from .conftest import BUSY, HEALTHY, PROBLEM, TOKEN, Script, response

LIST = b'{"request_id": "r", "version": "v", "items": []}'
NO_WAIT: dict[str, Any] = {"max_retry_wait": 0.01}


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address, token=TOKEN) as made:
        yield made


def test_a_list_is_typed_and_that_of_the_bundle(client: Client, bundle: Bundle) -> None:
    query = {"home_city": "Rome", "budget": 90}
    found = client.recommend(user=5, k=3, query=query, stages=True, where="price < 100")
    expected = bundle.funnel().recommend(5, k=3, query=query, where="price < 100")
    assert [item.item_id for item in found.items] == expected["item_id"].to_list()
    assert found.version == bundle.version
    assert found.items[0].attributes["price"] < 100
    assert found.stages is not None
    assert found.stages.candidates[0].rank == 1


def test_each_kind_of_list(client: Client) -> None:
    ranked = client.rank(user=5, items=[3, 1, 2])
    assert {item.item_id for item in ranked.items} == {1, 2, 3}
    assert client.similar(item=7, k=2, where=None).items[1].rank == 2
    rules = client.recommend(user=5, k=4, rules={"pin": [{"item": 9, "at": 2}]}, explain=True)
    assert rules.items[1].item_id == 9
    assert rules.explain is not None
    drawn = client.recommend(user=5, explore={"kind": "epsilon", "epsilon": 0.1})
    assert drawn.items[0].propensity is not None


def test_what_is_written_is_read_again(client: Client) -> None:
    rows = [LISTING | {"listing_id": 10**6 + n} for n in range(7)]  # the server takes 3
    written = client.put_items(iter(rows))
    assert written.items == 7
    where = "city == 'Atlantis'"
    assert len(client.recommend(user=1, where=where).items) == 7
    deleted = client.delete_items(row["listing_id"] for row in rows)
    assert deleted.items == 7
    assert deleted.sequence > written.sequence
    assert client.recommend(user=1, where=where).items == []


def test_events_and_users_are_written_in_parts(client: Client) -> None:
    users = [{"user_id": n, "home_city": "Rome"} for n in (901, 902, 903)]
    assert client.put_users(users).users == 3
    assert client.get_user(902).attributes == {"home_city": "Rome"}
    events: Any = [{"event_id": f"c{n}", "type": "click", "user": 901} for n in range(9)]
    assert client.add_events(events).stored == 9
    again = client.add_events(events[:5])
    assert (again.stored, again.known) == (0, 5)
    erased = client.delete_users([901, 902, 903])
    assert (erased.users, erased.events) == (3, 9)


def test_vectors_are_replaced(client: Client) -> None:
    ids = [2 * 10**6 + n for n in range(4)]
    client.put_items(LISTING | {"listing_id": one} for one in ids)
    weights = client.model().weights
    assert weights is not None
    with pytest.raises(ProblemError, match=r"expected [\d,]+ numbers, got 2") as caught:
        client.put_vectors([{"id": ids[0], "vector": [0.5, 0.5]}], weights=weights)
    width = int(caught.value.detail.partition("expected ")[2].split()[0])
    vectors: Any = [{"id": one, "vector": [0.5] * width} for one in (*ids, 10**9)]
    found = client.put_vectors(vectors, weights=weights)
    assert (found.vectors, found.unknown) == (4, 1)
    client.delete_items(ids)


def test_the_server_describes_itself(client: Client, bundle: Bundle) -> None:
    assert client.health().status == "ok"
    assert client.ready().version == bundle.version
    model = client.model()
    assert (model.version, model.limits.items) == (bundle.version, 3)
    assert client.versions().base == bundle.version
    assert client.experiments(5).experiments == []
    assert "crosstower_items" in client.metrics()
    with pytest.raises(ProblemError, match="start it with: crosstower serve"):
        client.experiment_report()
    assert client.swap(str(bundle.folder)).version == bundle.version


def test_a_refusal_is_an_error_with_the_words_of_the_server(client: Client) -> None:
    with pytest.raises(ProblemError) as caught:
        client.recommend(kk=3)  # type: ignore[call-arg]
    error = caught.value
    assert error.status == 422
    assert error.title.startswith("Unprocessable")
    assert "did you mean 'k'" in error.detail
    assert error.errors[0].where == "body.kk"
    assert error.request_id
    assert str(error) == f"POST /v1/recommend: 422 {error.title}: {error.detail}"
    with pytest.raises(ProblemError, match="is unknown") as caught:
        client.get_user(10**9)
    assert caught.value.status == 404


def test_an_error_can_be_sent_to_another_process(client: Client) -> None:
    with pytest.raises(ProblemError) as caught:
        client.recommend(k=0)
    found = pickle.loads(pickle.dumps(caught.value))
    assert (str(found), vars(found)) == (str(caught.value), vars(caught.value))


def test_an_error_says_how_many_rows_were_stored_before(client: Client) -> None:
    rows = [LISTING | {"listing_id": 10**6 + n} for n in range(4)]
    rows[3]["price"] = "dear"
    with pytest.raises(ProblemError) as caught:
        client.put_items(rows)
    assert caught.value.done == 3
    assert caught.value.__notes__ == ["3 items before were acknowledged"]
    client.delete_items(row["listing_id"] for row in rows[:3])


def test_the_token_is_nowhere_to_be_seen(address: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = "secret-token-0123456789"
    with caplog.at_level(logging.DEBUG), Client(address, token=secret) as client:
        with pytest.raises(ProblemError) as caught:
            client.recommend(user=1)
        assert caught.value.status == 401
        shown = [repr(client), str(client), repr(vars(client)), repr(vars(client._http))]
    shown += [caplog.text, str(caught.value), repr(caught.value), repr(vars(caught.value))]
    assert not any(secret in text for text in shown)
    assert "POST" in caplog.text


def test_a_refused_connection_is_tried_again_and_named() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        port = silent.getsockname()[1]
        words = rf"127\.0\.0\.1:{port}: POST /v1/model: .*refused"
        with (
            Client(f"http://127.0.0.1:{port}", **NO_WAIT) as client,
            pytest.raises(UnreachableError, match=words) as caught,
        ):
            client.swap("/bundle")
    assert not caught.value.sent


def test_a_refusal_for_now_is_waited_out(script: Script) -> None:
    server = script(BUSY, BUSY, response("200 OK", LIST))
    with Client(server.address, **NO_WAIT) as client:
        assert client.recommend(user=1).items == []
    assert len(server.requests) == 3


def test_retries_have_an_end(script: Script) -> None:
    server = script(BUSY, BUSY)
    with (
        Client(server.address, retries=1, **NO_WAIT) as client,
        pytest.raises(ProblemError) as caught,
    ):
        client.rank(items=[1])
    assert (caught.value.status, caught.value.retry_after) == (503, 0.0)
    assert len(server.requests) == 2


def test_a_server_that_asks_for_much_patience_is_not_waited_for(script: Script) -> None:
    server = script(response("503 Service Unavailable", PROBLEM, "retry-after: 3600"))
    with Client(server.address) as client, pytest.raises(ProblemError) as caught:
        client.rank(items=[1])
    assert caught.value.retry_after == 3600.0


def test_too_many_requests_are_sent_again_even_a_swap(script: Script) -> None:
    slower = response("429 Too Many Requests", b"slow down", "retry-after: 0")
    server = script(slower, response("200 OK", b'{"version": "b", "previous": "a"}'))
    with Client(server.address, **NO_WAIT) as client:
        assert client.swap("/bundle").previous == "a"


def test_a_slow_response_is_an_error(script: Script) -> None:
    server = script(None)
    with (
        Client(server.address, timeout=0.3, retries=0) as client,
        pytest.raises(UnreachableError, match=r"timeout\); try again, or give a larger timeout"),
    ):
        client.rank(items=[1])


def test_a_write_with_an_id_is_sent_again_and_a_list_that_may_be_logged_is_not() -> None:
    sent: list[str] = []

    def late(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        if len(sent) == 2:
            return httpx.Response(200, json={"stored": 0, "known": 1})
        raise httpx.ReadTimeout("")

    with Client("http://server", transport=httpx.MockTransport(late), **NO_WAIT) as client:
        assert client.add_events([{"event_id": "e", "type": "click"}]).known == 1
        with pytest.raises(UnreachableError, match="read timeout") as caught:
            client.recommend(user=1)
    assert caught.value.sent
    assert sent == ["/v1/events", "/v1/events", "/v1/recommend"]


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"])
def test_a_cut_connection_is_an_error_after_the_last_attempt(script: Script, cut: bytes) -> None:
    server = script(cut, response("200 OK", LIST), cut)
    with Client(server.address, **NO_WAIT) as client:
        assert client.recommend(user=1, log=False).items == []
        with pytest.raises(UnreachableError, match="check the address"):
            client.recommend(user=1, log=True)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (response("200 OK", b"<html>Sign in</html>"), "Invalid JSON.*Sign in"),
        (response("200 OK", b'{"version": 3}'), "request_id: Field required"),
        (response("500 Oops", b"<html>nginx</html>"), "500: .*expected problem details.*nginx"),
        (response("302 Found", b"", "location: /login"), "302: .*the proxy before it"),
    ],
)
def test_a_response_of_something_else_is_named(script: Script, answer: bytes, message: str) -> None:
    server = script(answer)
    with Client(server.address) as client, pytest.raises(UnexpectedResponseError, match=message):
        client.rank(items=[1])


def test_an_unready_server_is_reported_at_once(script: Script) -> None:
    server = script(BUSY)
    with Client(server.address, **NO_WAIT) as client, pytest.raises(ProblemError):
        client.ready()
    assert len(server.requests) == 1


def test_fields_of_newer_servers_are_kept(script: Script) -> None:
    server = script(response("200 OK", b'{"status": "ok", "mood": "sunny"}'))
    with Client(server.address) as client:
        assert client.health().model_extra == {"mood": "sunny"}


def test_requests_go_below_the_path_of_the_address(script: Script) -> None:
    server = script(HEALTHY)
    with Client(f"{server.address}/shop/", token=TOKEN) as client:
        client.health()
    (request,) = server.requests
    assert request.startswith(b"GET /shop/healthz HTTP/1.1\r\n")
    assert b"authorization: bearer " + TOKEN.encode() in request.lower()


def test_a_client_is_closed_with_its_block() -> None:
    with Client("http://127.0.0.1:1") as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        client.health()


def test_the_import_is_light() -> None:
    heavy = "{'torch', 'numpy', 'polars', 'fastapi', 'pyarrow', 'scipy'}"
    code = f"import crosstower.client, sys; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", ["httpx", "tenacity"])
def test_without_the_extra_the_import_names_it(missing: str) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; import crosstower.client"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    assert "pip install 'crosstower[client]'" in found.stderr
    assert found.returncode == 1


def test_a_value_that_cannot_be_sent_names_its_row(client: Client) -> None:
    rows = [LISTING, LISTING | {"price": float("nan")}]
    with pytest.raises(ClientError, match=r"items\[1\]: cannot be sent as JSON"):
        client.put_items(rows)
