"""Logs as lines of JSON."""

import json
import logging
import logging.config
import sys
from typing import Any

import pytest

from crosstower.serving.http.log_format import JsonFormatter, log_request, logging_configuration
from crosstower.serving.http.request_record import RequestRecord


def record(message: str, *args: Any, **more: Any) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", logging.ERROR, "f", 1, message, args, None, **more)


def test_a_record_is_one_line_of_json() -> None:
    one = record("two\nlines of %s", "text “quoted”")
    one.created = 1_767_225_600.1234
    text = JsonFormatter().format(one)
    assert "\n" not in text
    assert json.loads(text) == {
        "time": "2026-01-01T00:00:00.123Z",
        "level": "error",
        "logger": "uvicorn.error",
        "message": "two\nlines of text “quoted”",
    }


def test_an_exception_stays_within_its_line() -> None:
    one = record("failed")
    try:
        int("no number")
    except ValueError:
        one.exc_info = sys.exc_info()
    text = JsonFormatter().format(one)
    assert "\n" not in text
    assert "ValueError: invalid literal" in json.loads(text)["exception"]


def test_requests_are_logged_with_their_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = logging_configuration("json")
    assert configuration is not None
    root, requests = logging.getLogger(), logging.getLogger("crosstower.requests")
    before = root.handlers[:], root.level, requests.level
    try:
        logging.config.dictConfig(configuration)
        log_request(RequestRecord("POST", "/v1/rank", 200, 0.01234567, "r1"))
        log_request(RequestRecord("POST", "/v1/rank", 503, 1.0, "r2"))
        logging.getLogger("other").info("too little to be shown")
        logging.getLogger("other").warning("shown")
    finally:
        root.handlers[:], root.level = before[:2]
        requests.setLevel(before[2])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["info", "error", "warning"]
    fields = {"method": "POST", "route": "/v1/rank", "status": 200, "seconds": 0.012346}
    assert fields.items() <= lines[0].items()
    assert lines[0]["request_id"] == "r1"
    assert lines[2]["message"] == "shown"
    assert logging_configuration("text") is None
