"""How many rows a second `--store cassandra://` writes, to one Cassandra on the same cores."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import generate
from bench.measure import ROOT, Line, cached, fresh, run
from citywatch.connections.cassandra import parse, session
from citywatch.errors import StoreError
from citywatch.settings import Settings
from citywatch.stores.cassandra.relay import Relay
from citywatch.stores.cassandra.rows import Row
from citywatch.stores.cassandra.tables import TABLES, keyspace_cql
from citywatch.stores.desk import Desk
from citywatch.stores.history import History
from deploy.servers.cassandra_server import ADMINISTRATOR, Cassandra

EVENTS = 40_000


class Counting(Relay):
    """Counts the rows that it writes."""

    upserts = 0

    def _write(self, table: str, values: Iterable[Row]) -> None:
        found = list(values)
        self.upserts += len(found)
        super()._write(table, found)


def bench(scratch: Path) -> Iterator[Line]:
    """Events and alerts of a day, from the data directory of an engine to a new keyspace."""
    file = cached(
        scratch / "upserts.ndjson", lambda path: generate.events(path, first=0, count=EVENTS, measured_from=EVENTS)
    )
    data = fresh(scratch / "upserts")
    run("run", file, "--once", "--rules", ROOT / "bench" / "rules" / "plain24", "--data", data)
    with Cassandra(fresh(scratch / "cassandra")) as server:
        secret = {"CITYWATCH_CASSANDRA_PASSWORD": ADMINISTRATOR}
        address = parse(f"cassandra://{ADMINISTRATOR}@{server.address}/bench", secret)
        with session(address, lambda what, hint: StoreError(what, hint=hint)) as opened:
            opened.execute(keyspace_cql("bench", 1))
            for table in TABLES:
                opened.execute(table.cql.replace("EXISTS ", "EXISTS bench.", 1), timeout=60)
        with (
            Desk(data / "desk.sqlite") as desk,
            Counting(address, History(data), desk, Settings(), b"k" * 32) as relay,
        ):
            began = time.perf_counter()
            while relay.once():
                pass
            seconds = time.perf_counter() - began
    what = f"{EVENTS:,} events and their alerts to Cassandra"
    yield Line(what, f"{relay.upserts / seconds:,.0f} upserts/s ({EVENTS / seconds:,.0f} events/s)")
