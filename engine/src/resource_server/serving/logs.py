"""Log lines: of each request one, as JSON or to be read; whatever a client has sent stands escaped in them."""

import json
import logging
import logging.config
import math
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from resource_server.serving.exchange import BUSY, CURRENT, Exchange, Record

REQUESTS = "api.requests"
_FACTS = "facts"
_logger = logging.getLogger(REQUESTS)


def log_request(record: Record) -> None:
    """Write the line of a request: by the writer at once, if there is one, and to whoever else handles such lines."""
    if not _logger.isEnabledFor(logging.INFO) or (record.get("cause") == BUSY and not _busy.may_be_told(record)):
        return
    facts = {**record, "milliseconds": round(record["seconds"] * 1e3, 1)}
    del facts["seconds"]
    if "eyJ" in facts["path"]:
        facts["path"] = _TOKEN.sub("eyJ…", facts["path"])
    if _writer is not None:
        _writer.write(facts)
        if not _logger.handlers:
            return
    line = _logger.makeRecord(REQUESTS, logging.INFO, "", 0, "request", (), None, extra={_FACTS: facts})
    _logger.handle(line)


_TOKEN = re.compile(r"eyJ[\w.-]*")
"""What an access token looks like, in a path where somebody has put one."""


class _Busy:
    """Tells of refusals while there is no room for requests: once a second, and how many more there were."""

    def __init__(self) -> None:
        self._told_at = -math.inf
        self._others = 0

    def may_be_told(self, record: Record) -> bool:
        """Whether one gets a line, into which it writes how many had none."""
        now = time.monotonic()
        if now - self._told_at < 1:
            self._others += 1
            return False
        record["others"], self._told_at, self._others = self._others, now, 0
        return True


_busy = _Busy()


class RequestLog:
    """Writes the lines of requests to standard output, in a thread: whoever doesn't read them holds nobody up.

    Args:
        form: `json` or `text`; by default text on a terminal, JSON elsewhere.
    """

    def __init__(self, form: str | None) -> None:
        self._format = _text_line if _is_text(form) else _json_line
        self._lines: deque[str] = deque()
        self._wanted = threading.Event()
        self._dropped = 0
        threading.Thread(target=self._write, name="request-log", daemon=True).start()

    def write(self, facts: Mapping[str, Any]) -> None:
        """Have a line written; dropped, and counted, if too many wait."""
        if len(self._lines) >= _MOST_LINES:
            self._dropped += 1
            return
        self._lines.append(self._format(facts))
        if not self._wanted.is_set():
            self._wanted.set()

    def flush(self) -> None:
        """Wait until what there is has been written, but not for long."""
        until = time.monotonic() + _FLUSH_SECONDS
        while (self._lines or self._wanted.is_set()) and time.monotonic() < until:
            time.sleep(0.01)

    def _write(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(_GATHER)  # more come together than one by one
            self._wanted.clear()
            count = len(self._lines)
            sys.stdout.write("".join(self._lines.popleft() for _ in range(count)))
            sys.stdout.flush()
            if dropped := self._dropped:
                self._dropped -= dropped
                _logger.warning("%s lines of requests were dropped: standard output isn't read fast enough", dropped)


_MOST_LINES = 10_000
_LONGEST_LINE = 4_096
_GATHER = 0.02
_FLUSH_SECONDS = 1.0

_writer: RequestLog | None = None


def write_requests(form: str | None) -> RequestLog:
    """Have this process write the lines of requests itself, in place of the handlers of `logging`."""
    global _writer  # noqa: PLW0603  # there is one standard output
    _writer = RequestLog(form)
    _logger.propagate = False
    return _writer


def _json_line(facts: Mapping[str, Any]) -> str:
    head = f'{{"time": "{_stamp(time.time())}", "level": "info", "logger": "{REQUESTS}", "message": "request", '
    return f"{head}{_dumps(facts)[1:_LONGEST_LINE]}\n"


_dumps = json.JSONEncoder(default=str).encode


def _text_line(facts: Mapping[str, Any]) -> str:
    line = "".join(f" {name}={_plain(value)}" for name, value in facts.items() if value is not None)
    return f"{_stamp(time.time())} {'INFO':7} request{line}"[:_LONGEST_LINE] + "\n"


@lru_cache(2)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def _stamp(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1e3):03}Z"


def _is_text(form: str | None) -> bool:
    return (form or ("text" if sys.stdout.isatty() else "json")) == "text"


class JsonLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        line |= {"message": record.getMessage(), **_facts(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """A line for people; an exception takes several."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        facts = _facts(record)
        line = f"{_time(record)} {record.levelname:7} {_plain(record.getMessage())}"
        line += "".join(f" {name}={_plain(value)}" for name, value in facts.items() if value is not None)
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def begin_logging(form: str | None, *, requests: bool) -> None:
    """Have all lines of this process, warnings of Python's among them, go where `logging_config` says."""
    logging.config.dictConfig(logging_config(form, requests=requests))
    logging.captureWarnings(capture=True)


def logging_config(form: str | None, *, requests: bool) -> dict[str, Any]:
    """For `logging.config.dictConfig`: all lines to standard output.

    Args:
        form: `json` or `text`; by default text on a terminal, JSON elsewhere.
        requests: Whether each request gets a line.
    """
    formatter = TextLines if _is_text(form) else JsonLines
    quiet: dict[str, Any] = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": formatter}},
        "handlers": {"output": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "lines"}},
        "root": {"level": "INFO", "handlers": ["output"]},
        "loggers": {
            REQUESTS: {**quiet, "level": "INFO" if requests else "WARNING"},
            "uvicorn": {**quiet, "level": "WARNING"},
            "httpx": {**quiet, "level": "WARNING"},
        },
    }


def _facts(record: logging.LogRecord) -> Mapping[str, Any]:
    """What else is known of a line: of a request's own line all there is, of others which request they belong to."""
    exchange = CURRENT.get(None)
    known = {"request_id": exchange.record["request_id"]} if exchange else {}
    facts: Mapping[str, Any] = getattr(record, _FACTS, known)
    return facts


def of_request(exchange: Exchange | None) -> dict[str, Any]:
    """For `extra`: that a line belongs to a request."""
    return {_FACTS: {"request_id": exchange.record["request_id"]}} if exchange else {}


def _time(record: logging.LogRecord) -> str:
    return _stamp(record.created)


def _plain(value: Any) -> str:
    """A value on one line: as it is, or quoted and escaped if it could be taken for something else."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and not set(text) & set('"=\\') else json.dumps(text)
