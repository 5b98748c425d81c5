"""Refusals as bytes are whole HTTP responses with problem details."""

import json

import pytest

from crosstower.serving.http.refusals import BUSY, refusal_bytes


def parsed(response: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


@pytest.mark.parametrize("status", [408, 431, 503])
def test_the_body_is_a_problem_of_its_stated_length(status: int) -> None:
    line, headers, body = parsed(refusal_bytes(status, BUSY))
    assert line.startswith(f"HTTP/1.1 {status} ")
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(body)
    problem = json.loads(body)
    assert (problem["status"], problem["detail"]) == (status, BUSY)
    assert line.endswith(problem["title"])


def test_only_a_busy_server_says_when_to_come_again() -> None:
    assert parsed(refusal_bytes(503, "x"))[1]["retry-after"] == "1"
    assert "retry-after" not in parsed(refusal_bytes(431, "x"))[1]


def test_the_end_of_a_connection_is_said() -> None:
    assert parsed(refusal_bytes(408, "x", close=True))[1]["connection"] == "close"
    assert "connection" not in parsed(refusal_bytes(408, "x"))[1]
