"""Ctrl-C while DuckDB answers: the query ends, wherever it is, and with it the command, as everywhere else."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

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


@contextmanager
def interruptible(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Signals end the queries of `con`: its client looks for them between two steps, of which one may take hours.

    Only the main thread hears of signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, signalled = socket.socketpair()
    signalled.setblocking(False)
    thread = threading.Thread(target=_interrupt, args=(con, heard), name="interruption", daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        signalled.close()
        thread.join()
        heard.close()


def _interrupt(con: duckdb.DuckDBPyConnection, heard: socket.socket) -> None:
    """Interrupt what runs at each signal, until there are none any more."""
    while heard.recv(1):
        con.interrupt()
