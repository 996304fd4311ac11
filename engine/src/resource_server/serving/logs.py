"""Log lines: of each request one, as JSON or to be read; whatever a client has sent stands escaped in them."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from resource_server.serving.records import Record

REQUESTS = "api.requests"
_FACTS = "facts"
_logger = logging.getLogger(REQUESTS)


def log_request(record: Record) -> None:
    """Write the line of a request."""
    if _logger.isEnabledFor(logging.INFO):
        facts = {**record, "milliseconds": round(record["seconds"] * 1e3, 1)}
        del facts["seconds"]
        line = _logger.makeRecord(REQUESTS, logging.INFO, "", 0, "request", (), None, extra={_FACTS: facts})
        _logger.handle(line)


class JsonLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        line |= {"message": record.getMessage(), **getattr(record, _FACTS, {})}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """A line for people; an exception takes several."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        facts: Mapping[str, Any] = getattr(record, _FACTS, {})
        line = f"{_time(record)} {record.levelname:7} {_plain(record.getMessage())}"
        line += "".join(f" {name}={_plain(value)}" for name, value in facts.items() if value is not None)
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def logging_config(form: str | None, *, requests: bool) -> dict[str, Any]:
    """For `logging.config.dictConfig`: all lines to standard output.

    Args:
        form: `json` or `text`; by default text on a terminal, JSON elsewhere.
        requests: Whether each request gets a line.
    """
    formatter = TextLines if (form or ("text" if sys.stdout.isatty() else "json")) == "text" else JsonLines
    quiet: dict[str, Any] = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": formatter}},
        "handlers": {"output": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "lines"}},
        "root": {"level": "INFO", "handlers": ["output"]},
        "loggers": {
            REQUESTS: {**quiet, "level": "INFO" if requests else "WARNING"},
            "_granian": {**quiet, "level": "INFO"},
            "httpx": {**quiet, "level": "WARNING"},
        },
    }


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z"


def _plain(value: Any) -> str:
    """A value on one line: as it is, or quoted and escaped if it could be taken for something else."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and not set(text) & set('"=\\') else json.dumps(text)
