"""Pull the plug at a chosen moment: hooks around what reaches the disk, put into a process that is about to die.

The program under test knows nothing of them.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb


class Power:
    """Counts the moments at which something has become durable, and kills the process after the one numbered `at`.

    Parameters
    ----------
    trace
        File that each moment is appended to, one a line.
    at
        Number of the moment after which the process dies, from 1; 0 = never.
    torn
        Die in the middle of the write numbered `at` instead.
    """

    def __init__(self, trace: Path, at: int = 0, *, torn: bool = False) -> None:
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._at = at
        self._torn = torn
        self._count = self._writes = 0
        self._lock = threading.Lock()
        self._write = os.write

    def plug_in(self) -> None:
        """Put the hooks in; they stay for the rest of the process."""
        for name in ("fsync", "replace", "rename", "unlink"):
            setattr(os, name, self._around(name, getattr(os, name)))
        os.write = self._writing
        _hook_sqlite(self)
        _hook_duckdb(self)

    def moment(self, name: str) -> None:
        """Something has just become durable."""
        with self._lock:
            self._count += 1
            self._write(self._trace, f"{name}\n".encode())
            if self._count == self._at and not self._torn:
                _die()

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def hooked(*arguments: Any, **named: Any) -> Any:
            answer = call(*arguments, **named)
            self.moment(name)
            return answer

        return hooked

    def _writing(self, handle: int, content: Any) -> int:
        with self._lock:
            self._writes += 1
            self._write(self._trace, b"write\n")
            if self._torn and self._writes == self._at:
                self._write(handle, bytes(content)[: len(content) // 2])
                _die()
        return self._write(handle, content)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _hook_sqlite(power: Power) -> None:
    real = sqlite3.connect

    class Hooked(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            answer = super().execute(sql, *arguments)
            if sql == "COMMIT":
                power.moment("commit desk")
            return answer

    def connect(*arguments: Any, **named: Any) -> Any:
        return real(*arguments, **{**named, "factory": Hooked})

    sqlite3.connect = connect


def _hook_duckdb(power: Power) -> None:
    real = duckdb.connect

    class Hooked:
        """The engine's connection: what it is asked, it answers; a COMMIT is a moment."""

        def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
            self._con = con

        def __getattr__(self, name: str) -> Any:
            return getattr(self._con, name)

        def execute(self, sql: str, *arguments: Any) -> Any:
            self._con.execute(sql, *arguments)
            if sql == "COMMIT":
                power.moment("commit engine")
            return self._con

    def connect(database: Any = ":memory:", **named: Any) -> Any:
        con = real(database, **named)
        return Hooked(con) if str(database).endswith("engine.duckdb") else con

    duckdb.connect = connect  # type: ignore[assignment] # the same, for the one file that is the engine's
