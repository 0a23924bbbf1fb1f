"""What a running citywatch says on stderr, a line at a time: words for people, or JSON for what collects logs."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime

import click

VARIABLE = "CITYWATCH_LOG"
"""Says the form before settings are read, and to the processes that this one starts."""

_LOG = logging.getLogger("citywatch")


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("citywatch: %(message)s")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": click.unstyle(record.getMessage()),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def use(form: str) -> None:
    """Say everything in this form from now on, that of libraries included."""
    handler = _Stderr()
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers = [known for known in root.handlers if not isinstance(known, _Stderr)] + [handler]
    _LOG.setLevel(logging.INFO)


def used() -> str:
    """The form in use."""
    handlers = (handler for handler in logging.getLogger().handlers if isinstance(handler, _Stderr))
    handler = next(handlers, None)
    if handler is None:
        return os.environ.get(VARIABLE, "text")
    return "json" if isinstance(handler.formatter, _Json) else "text"


def say(what: object, level: int = logging.INFO) -> None:
    """Say one thing."""
    if not any(isinstance(handler, _Stderr) for handler in logging.getLogger().handlers):
        use(used())
    _LOG.log(level, "%s", what)
