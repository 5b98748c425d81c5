import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from pydantic import SecretStr

from crosstower.client import Health, ProblemError, UnexpectedResponseError, operations
from crosstower.client.operations import Call
from crosstower.client.reading import read, retry_after

HEALTH, METRICS = Call(operations.HEALTH), Call(operations.METRICS)
NONE = httpx.Headers()
PROBLEM = b"""{"type": "about:blank", "title": "Conflict", "status": 409, "detail": "other weights",
 "errors": [{"where": "body.weights", "problem": "unknown"}], "trace_id": "0af7", "new": 1}"""


def test_a_response_is_of_the_type_of_its_operation() -> None:
    assert read(HEALTH, 200, NONE, b'{"status": "ok"}') == Health(status="ok")
    assert read(METRICS, 200, NONE, "grün\n".encode()) == "grün\n"


def test_problem_details_are_an_error() -> None:
    headers = httpx.Headers({"X-Request-ID": "5f1c", "Retry-After": "2"})
    with pytest.raises(ProblemError, match="GET /healthz: 409 Conflict: other weights") as caught:
        read(HEALTH, 409, headers, PROBLEM)
    error = caught.value
    assert (error.status, error.title, error.detail) == (409, "Conflict", "other weights")
    assert [(fault.where, fault.problem) for fault in error.errors] == [("body.weights", "unknown")]
    assert (error.trace_id, error.request_id, error.retry_after) == ("0af7", "5f1c", 2.0)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b'{"status": 3}', b"{" * 9_000])
@pytest.mark.parametrize("status", [200, 204, 302, 404, 502])
def test_anything_else_is_an_error_that_shows_a_little_of_it(content: bytes, status: int) -> None:
    with pytest.raises(UnexpectedResponseError, match="check the address") as caught:
        read(HEALTH, status, NONE, content)
    assert caught.value.status == status
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("status", [200, 401, 502])
def test_a_token_that_a_response_repeats_is_not_shown(status: int) -> None:
    problem = json.dumps({"title": "t", "status": status, "detail": "Authorization: Bearer s3cr3t"})
    for content in (problem.encode(), b"<pre>Authorization: Bearer s3cr3t</pre>"):
        with pytest.raises((ProblemError, UnexpectedResponseError), match="Bearer TOKEN") as caught:
            read(HEALTH, status, NONE, content, token=SecretStr("s3cr3t"))
        assert "s3cr3t" not in f"{caught.value} {vars(caught.value)}"


def test_a_token_is_hidden_wherever_an_error_repeats_it() -> None:
    text = "\\u00733cr3t"  # of JSON, for s3cr3t
    faults = f'[{{"where": "{text}", "problem": "{text}"}}]'
    problem = f'{{"title": "{text}", "status": 400, "detail": "{text}", "errors": {faults}}}'
    headers = httpx.Headers({"X-Request-ID": "s3cr3t"})
    with pytest.raises(ProblemError) as caught:
        read(HEALTH, 400, headers, problem.encode(), token=SecretStr("s3cr3t"))
    assert "s3cr3t" not in f"{caught.value} {vars(caught.value)}"
    assert caught.value.request_id == "TOKEN"


def test_data_that_holds_the_text_of_a_token_stays() -> None:
    item = {"rank": 1, "item_id": "device-1", "score": 1.0}
    content = json.dumps({"request_id": "dev", "version": "v1", "items": [item]}).encode()
    found = read(Call(operations.RECOMMEND), 200, NONE, content, token=SecretStr("dev"))
    assert found.items[0].item_id == "device-1"


def test_the_pause_that_a_server_asks_for() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    found = retry_after(httpx.Headers({"Retry-After": soon}))
    assert found is not None
    assert 0 < found <= 100
    past = retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert past == 0.0
    for wrong in ("", "-1", "1.5", "²", "x" * 99, "Wed, 99 Oct 2015 07:28:00 GMT"):
        assert retry_after({"retry-after": wrong}) is None
