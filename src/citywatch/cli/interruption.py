"""Ctrl-C while DuckDB answers: it ends the query, and tells of that in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_SAID = "Query interrupted"
"""DuckDB's client says this with a RuntimeError, in place of what the handler of the signal has raised."""


@contextmanager
def as_interrupt() -> Iterator[None]:
    """Raise KeyboardInterrupt, as everywhere else, when a signal came in the middle of a query."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != _SAID:
            raise
        raise KeyboardInterrupt from error
