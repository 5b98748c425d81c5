"""Structured logs: one JSON object per line."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from crosstower.serving.http.request_record import RequestRecord
from crosstower.serving.http.tracing import current_trace

LogFormat = Literal["text", "json"]
_FIELDS = "crosstower_fields"
_REQUESTS = logging.getLogger("crosstower.requests")


class JsonFormatter(logging.Formatter):
    """A log record as one line of JSON: time, level, logger, message, and further fields.

    The ids of the trace are added to records of a request that is traced. The URL of a request is
    never logged, as it may name users.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        created = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {
            "time": created.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if (trace := current_trace()) is not None:
            entry |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def as_line(sentence: str, log_format: LogFormat) -> str:
    """Return a sentence of the command as a line of its log.

    >>> as_line("it serves", "text")
    'it serves'
    """
    if log_format == "text":
        return sentence
    found = {"name": "crosstower", "levelname": "INFO", "msg": sentence, "created": time.time()}
    return JsonFormatter().format(logging.makeLogRecord(found))


def log_request(request: RequestRecord) -> None:
    """Log a request that has its response."""
    fields = asdict(request) | {"seconds": round(request.seconds, 6)}
    level = logging.ERROR if request.status >= 500 else logging.INFO
    _REQUESTS.log(level, "request", extra={_FIELDS: fields})


def logging_configuration(log_format: LogFormat) -> dict[str, Any] | None:
    """Return the logging configuration of a server; None for the usual one of uvicorn.

    Args:
        log_format: text, or json with a line per request.

    """
    if log_format == "text":
        return None
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": f"{__name__}.{JsonFormatter.__name__}"}},
        "handlers": {
            "lines": {
                "class": "logging.StreamHandler",
                "formatter": "json",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "WARNING", "handlers": ["lines"]},
        "loggers": {_REQUESTS.name: {"level": "INFO"}},
    }
