"""How a job on Spark stands, told every second: to the desk, to people when it is behind, and to Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from citywatch.cli.log import say
from citywatch.errors import CitywatchError, ServeError

if TYPE_CHECKING:
    from pyspark.sql.streaming import StreamingQuery

    from citywatch.cli.spark_session import Running
    from citywatch.engine.embedded.relaying import Relaying
    from citywatch.engine.spark.standing import Standing
    from citywatch.stores.desk import Desk
    from citywatch.stores.directory import DataDirectory

_EVERY_S = 1.0


@contextmanager
def reporting(directory: DataDirectory, running: Running, standing: Standing) -> Iterator[None]:
    """Look after a job while the block lasts."""
    stop = threading.Event()
    thread = threading.Thread(target=_report, args=(directory, running, standing, stop), name="report", daemon=True)
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
    progress = query.lastProgress
    if progress is not None:
        standing.progressed(json.loads(progress.json))
    desk.set_status({"engine": standing.status()})
    if standing.clock is not None:
        logs = [(name, sum(parts.values())) for name, parts in standing.status()["lag"].items()]
        facts = behind(logs, standing.clock, time.time_ns() // 1000)
        if len(facts):
            desk.put_facts(facts)


@contextmanager
def metrics(standing: Standing, port: int | None, relaying: Relaying | None = None) -> Iterator[None]:
    """Serve `/metrics` on 127.0.0.1 while the block lasts; nothing where no port is given. Raises ServeError.

    `relaying`: the store that the job keeps up, where there is one.
    """
    if port is None:
        yield
        return
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Page, standing, relaying))
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

    def __init__(self, standing: Standing, relaying: Relaying | None, *request: Any) -> None:
        self._standing, self._relaying = standing, relaying
        super().__init__(*request)

    def do_GET(self) -> None:
        """Answer."""
        from citywatch.exposition import TYPE, stores

        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        kept = stores(self._relaying.standing()) if self._relaying else ()
        content = "".join((*self._standing.exposition(), *kept)).encode()
        self.send_response(200)
        self.send_header("Content-Type", TYPE)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Requests are not worth a line each."""
