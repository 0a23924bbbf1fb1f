"""How a job on Spark stands: asked every second, told to the desk, to people when it is behind, and to Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import click

from citywatch.cli.log import say
from citywatch.errors import CitywatchError, ServeError

if TYPE_CHECKING:
    from pyspark.sql.streaming import StreamingQuery

    from citywatch.cli.spark_session import Running
    from citywatch.connections.kafka.address import Address
    from citywatch.engine.embedded.relaying import Relaying
    from citywatch.engine.spark.progress import Progress
    from citywatch.engine.spark.standing import Standing
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

_EVERY_S = 1.0

metrics_option = click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve /metrics on 127.0.0.1 there; 0 takes a free one."
)


@contextmanager
def reporting(directory: DataDirectory, running: Running, standing: Standing) -> Iterator[None]:
    """Look after a job while the block lasts, and tell the desk of the data directory."""
    with _beside(partial(_report, directory, running, standing)):
        yield


@contextmanager
def following(running: Running, progress: Progress) -> Iterator[None]:
    """Know how far a job is while the block lasts."""

    def follow(stop: threading.Event) -> None:
        while not stop.wait(_EVERY_S):
            _ask(running.query, progress)

    with _beside(follow):
        yield


@contextmanager
def growing(progress: Progress, address: Address | None) -> Iterator[None]:
    """Know what waits in topics while the block lasts; without a client for Kafka only when a batch is over."""
    import importlib.util

    if address is None or importlib.util.find_spec("confluent_kafka") is None:
        yield
        return
    from citywatch.connections.kafka.configuration import properties
    from citywatch.engine.spark.growth import watched

    given = {n: v for n, v in properties(address.configuration).items() if not n.startswith("java.")}
    with watched(progress, address.servers, given, address.topics):
        yield


@contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do it in a thread of its own until the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), name="report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _report(directory: DataDirectory, running: Running, standing: Standing, stop: threading.Event) -> None:
    from citywatch.engine.lagging import Lagging
    from citywatch.stores.desk import Desk

    lagging = Lagging()
    with Desk(directory.desk, create=False) as desk:
        while not stop.wait(_EVERY_S):
            try:
                _look(desk, running.query, standing, lagging.look)
            except CitywatchError as error:
                say(str(error))
        desk.set_status({"engine": standing.status()})


def _look(desk: Desk, query: StreamingQuery, standing: Standing, behind: Callable[..., Any]) -> None:
    _ask(query, standing)
    desk.set_status({"engine": standing.status()})
    if standing.clock is not None:
        logs = [(name, sum(parts.values())) for name, parts in standing.status()["lag"].items()]
        facts = behind(logs, standing.clock, time.time_ns() // 1000)
        if len(facts):
            desk.put_facts(facts)


def _ask(query: StreamingQuery, progress: Progress) -> None:
    """Where Java has ended nothing answers, which the job itself says."""
    from py4j.protocol import Py4JError

    try:
        last = query.lastProgress
    except (Py4JError, OSError):
        return
    if last is not None:
        progress.progressed(json.loads(last.json))


@contextmanager
def metrics(progress: Progress, port: int | None, relaying: Relaying | None = None) -> Iterator[None]:
    """Serve `/metrics` on 127.0.0.1 while the block lasts; nothing where no port is given. Raises ServeError.

    `relaying`: the store that the job keeps up, where there is one.
    """
    if port is None:
        yield
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Page, progress, relaying))
    except OSError as error:
        raise ServeError(f"port {port} cannot be used: {error.strerror}", hint="give another --metrics-port") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    say(f"metrics at http://127.0.0.1:{server.server_port}/metrics")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Page(BaseHTTPRequestHandler):
    """`GET /metrics`; says of nobody who he is."""

    timeout = 10

    def __init__(self, progress: Progress, relaying: Relaying | None, *request: Any) -> None:
        self._progress, self._relaying = progress, relaying
        super().__init__(*request)

    def do_GET(self) -> None:
        """Answer."""
        from citywatch.exposition import TYPE, stores

        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        kept = stores(self._relaying.standing()) if self._relaying else ()
        content = "".join((*self._progress.exposition(), *kept)).encode()
        self.send_response(200)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Requests are not worth a line each."""
