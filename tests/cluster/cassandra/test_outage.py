"""Cassandra goes away for half a minute while events come: nothing is lost or doubled, and the delay is shown."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from deploy.servers.cassandra_server import Cassandra
from tests.cluster.cassandra.agreement import alerts_of, key_of, same_alerts, same_events
from tests.cluster.cassandra.keyspaces import SECRET, Keyspace, keyspace
from tests.cluster.running import status
from tests.cluster.servers import owner
from tests.cluster.watching import Up
from tests.mqtt.broker import until

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(400)]

DOWN_S = 30


def test_cassandra_away_for_half_a_minute_loses_nothing(tmp_path: Path) -> None:
    with Cassandra(tmp_path / "server", owner=owner()) as server, keyspace(server.address) as store:
        data, source = tmp_path / "data", "sim://city?seed=2&rate=50"
        with Up(data, source, "--store", store.url, environment=SECRET) as up:
            up.wait(lambda: rows(store, "device_history") > 100 and rows(store, "alerts") > 5)
            up.wait(lambda: shown(up, store, "up") == 1 and shown(up, store, "delay_seconds") == 0)
            before = rows(store, "device_history"), rows(store, "alerts")
            server.stop(signal.SIGKILL)
            stopped = time.monotonic()
            up.wait(lambda: shown(up, store, "up") == 0)
            accepted, raised, delay = events(data), len(alerts_of(data)), shown(up, store, "delay_seconds")
            until(lambda: time.monotonic() > stopped + DOWN_S, within=2 * DOWN_S)
            up.wait(lambda: shown(up, store, "behind", "events") > 100 and shown(up, store, "behind", "alerts") > 0)
            assert events(data) > accepted + 100, "events came in while it was away"
            assert len(alerts_of(data)) > raised, "and alerts"
            assert shown(up, store, "delay_seconds") > max(delay, 0) + DOWN_S / 3, "the delay grows"
            assert shown(up, store, "up") == 0
            server.start()
            up.wait(lambda: shown(up, store, "up") == 1 and shown(up, store, "delay_seconds") == 0)
            accepted, raised = events(data), len(alerts_of(data))
            up.wait(lambda: rows(store, "device_history") > accepted and rows(store, "alerts") > raised)
        assert 0 < before[0] < accepted
        assert 0 < before[1] < raised
        store.fill(data, key=key_of(data))  # what had been accepted and not yet taken over when it ended
        same_alerts(store, data, key_of(data))
        same_events(store, data)
        assert min(rows(store, table) for table in ("alerts_by_plate", "users", "devices")) > 5
        assert up.errors.read_text("utf-8").count("is there again") == 1


def shown(up: Up, store: Keyspace, name: str, what: str = "") -> float:
    """What `/metrics` says of the store; -1 where it says nothing."""
    more = f',what="{what}"' if what else ""
    return up.metrics().get(f'citywatch_store_{name}{{store="{store.url}"{more}}}', -1)


def rows(store: Keyspace, table: str) -> int:
    return int(store.rows(f"SELECT count(*) FROM {{}}.{table}")[0][0])


def events(data: Path) -> int:
    return int(status(data).get("events", 0))
