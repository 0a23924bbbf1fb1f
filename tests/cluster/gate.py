"""A way to a server of the tests that can be shut, so that it is away for those who come by there, and nobody else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from deploy.servers.server import free_port


class Gate:
    """`host:port` that leads to a server while it is open; a context manager."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._inside: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.shut()

    def shut(self) -> None:
        """Who is inside is out, and nobody gets in."""
        for one in (self._listener, *self._inside):
            with suppress(OSError):  # it has left by itself
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._inside):
            one.close()
        self._inside, self._threads = [], []

    def reopen(self) -> None:
        """Let people through again, at the same address."""
        host, _, port = self.address.rpartition(":")
        self._listener = socket.create_server((host, int(port)))
        self._listen()

    def _listen(self) -> None:
        self._start(self._let_in, self._listener)

    def _let_in(self, listener: socket.socket) -> None:
        while True:
            try:
                visitor, _ = listener.accept()
            except OSError:
                return  # it is shut
            server = socket.create_connection(self._server)
            self._inside += [visitor, server]
            self._start(_pass_on, visitor, server)
            self._start(_pass_on, server, visitor)

    def _start(self, work: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=work, args=sockets, daemon=True)
        self._threads.append(thread)
        thread.start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either end may leave at any time
        while content := source.recv(1 << 16):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
