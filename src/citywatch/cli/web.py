"""The console as a process of its own beside the engine, so that pages stay quick while ingest runs at full rate.

`up` opens the socket, starts ``python -m citywatch.cli.web``, hands over what to serve as JSON on its standard input,
and reads links to sign in with from its standard output. When that input ends, however `up` has ended, so does this
process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from citywatch.cli.log import VARIABLE, say, use, used
from citywatch.cli.responsive import be_responsive
from citywatch.console.port import RuleNotes, Site
from citywatch.errors import CitywatchError, ServeError
from citywatch.stores.directory import DataDirectory
from citywatch.stores.media import MOST_BYTES

if TYPE_CHECKING:
    import uvicorn

    from citywatch.rules.model import Ruleset
    from citywatch.sources.http.calling import Engine
    from citywatch.stores.desk import AnyDesk

STOP_WITHIN = 2.0
"""Seconds for the process to end by itself; open streams are cut after one."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ServeError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        hint = f"choose another with --port {port + 1}, or any free one with --port 0"
        raise ServeError(
            f"cannot serve on {host}:{port}: {(error.strerror or str(error)).lower()}", hint=hint
        ) from error
    return listener


@dataclass(frozen=True, slots=True)
class Served:
    """What the console is to show, in a form that crosses to another process."""

    data: str
    host: str
    port: int
    zone: str
    live: int
    person: str
    rules: dict[str, dict[str, Any]]
    zones: dict[str, list[list[tuple[float, float]]]]
    image_bytes: int = MOST_BYTES
    first_summons: int = 1
    address: str = ""  # what people type, where a web server stands in front
    database: str | None = None  # address of the desk on a server, where it is not in `data`


def rule_notes(ruleset: Ruleset) -> dict[str, dict[str, Any]]:
    """What the console shows of each rule."""
    names = ("description", "runbook", "falsepositives", "references", "close_reasons")
    return {rule.name: {name: getattr(rule, name) for name in names} for rule in ruleset.rules}


def outlines(ruleset: Ruleset) -> dict[str, list[list[tuple[float, float]]]]:
    """The outer rings of each zone, as (lon, lat)."""
    rings: dict[str, list[list[tuple[float, float]]]] = {}
    for name, geometry in ruleset.zones.items():
        polygons = [part for part in getattr(geometry, "geoms", [geometry]) if part.geom_type == "Polygon"]
        rings[name] = [[(x, y) for x, y, *_ in polygon.exterior.coords] for polygon in polygons]
    return rings


class Web:
    """The console's process. `told` gets each new link to sign in with; the first says that pages are served."""

    def __init__(self, served: Served, listener: socket.socket, told: Callable[[str], None]) -> None:
        self._told = told
        self._serves = False
        # A group of its own: Ctrl-C in the terminal is for `up`, which then ends this process.
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            # -P: what lies in the directory where somebody happens to be is no part of this program.
            [sys.executable, "-P", "-m", "citywatch.cli.web", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, VARIABLE: used()},
            process_group=0,
            text=True,
            encoding="utf-8",
        )
        self._write(json.dumps(asdict(served)) + "\n")
        self._reader = threading.Thread(target=self._read, name="console links", daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raise ServeError when the process has ended."""
        if (code := self._process.poll()) is not None:
            raise ServeError(f"the page's process ended with exit code {code}", hint="see the messages above")

    @property
    def serves(self) -> bool:
        """Whether there are pages: the first link has been told."""
        return self._serves

    def end(self) -> None:
        """Tell the process to end, and do not wait for it."""
        if self._process.stdin:
            self._process.stdin.close()

    def stop(self) -> None:
        """End the process."""
        self.end()
        try:
            self._process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()

    def _write(self, text: str) -> None:
        if self._process.stdin is None:
            raise ServeError("the page's process has no input")
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def _read(self) -> None:
        if self._process.stdout is None:
            return
        with self._process.stdout as links:
            for line in links:
                self._told(line.strip())
                self._serves = True


def serve(served: Served, listener: socket.socket) -> None:
    """Serve until standard input ends."""
    from citywatch.console import site

    def another(_: str) -> None:
        print(site.link(served.person), flush=True)

    rules = {
        name: RuleNotes(**{key: _tuples(value) for key, value in notes.items()}) for name, notes in served.rules.items()
    }
    found = Site(
        data=Path(served.data),
        host=served.host,
        port=served.port,
        address=served.address,
        zone=served.zone,
        rules=rules,
        zones=served.zones,
        signed_in=another,
        **(_on_server(served) if served.database else _in_directory(served)),
    )
    site.install(found)
    with cast("AnyDesk", found.desk()) as opened:
        opened.set_status({"console": {"url": site.address()}})  # for links that other commands make
    server = _server()
    threading.Thread(target=_stop_at_end_of_input, args=[server], name="end of input", daemon=True).start()
    another("")
    be_responsive()
    server.run(sockets=[listener])


def _in_directory(served: Served) -> dict[str, Any]:
    """The desk, images and engine of the data directory."""
    from citywatch.sources.http.calling import Engine
    from citywatch.stores.desk import Desk
    from citywatch.stores.gallery import Gallery
    from citywatch.stores.issuing import Office

    file = Path(served.data) / "desk.sqlite"

    def desk() -> Desk:
        return Desk(file, live=served.live)

    return {
        "desk": desk,
        "door": EngineDoor(Engine(Path(served.data))),
        "gallery": Gallery(DataDirectory(Path(served.data)), limit=served.image_bytes),
        "issuer": Office(desk, Path(served.data) / "tickets", served.first_summons, served.zone),
    }


def _on_server(served: Served) -> dict[str, Any]:
    """The desk on a server; events and images are taken elsewhere."""
    from citywatch.connections.postgresql import database_address
    from citywatch.stores.desk.server import Server

    address = database_address(served.database or "")
    server = Server(address)
    with server.desk() as desk:
        secret = desk.secret("console").hex()
    return {"desk": lambda: server.desk(live=served.live), "database": address.for_django(), "secret": secret}


@dataclass(frozen=True, slots=True)
class EngineDoor:
    """The console's way into the engine that holds the data directory, whichever process that is."""

    engine: Engine

    async def __call__(
        self, door: str, mapping: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and content of the engine's answer."""
        from citywatch.sources.http.wire import Request

        return await self.engine.ask(Request(door, mapping, headers, body))


def _server() -> uvicorn.Server:
    import uvicorn

    from citywatch.console import site, stream

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """Streams have no end of their own; a request that is being answered is waited for."""
            stream.tailer.close()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        site.application(),
        log_config=None,  # it says what it has to say in our form
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    return Server(config)


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    while os.read(0, 4096):
        pass  # nothing more is said; what counts is that it ends
    server.should_exit = True


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _first_line() -> str:
    """The first line of standard input, and not a byte more: its end is watched elsewhere."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            break
        line += byte
    return line.decode()


if __name__ == "__main__":
    use(used())
    try:
        serve(Served(**json.loads(_first_line())), socket.socket(fileno=int(sys.argv[1])))
    except CitywatchError as error:
        say(error)
        sys.exit(1)
