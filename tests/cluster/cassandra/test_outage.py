"""Cassandra goes away for half a minute while events come: nothing is lost or doubled, and the delay is shown."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.directory import DataDirectory
from deploy.servers.cassandra_server import Cassandra
from tests.cluster.cassandra.keyspaces import SECRET, Keyspace, keyspace
from tests.cluster.running import Run, status
from tests.cluster.servers import owner
from tests.mqtt.broker import until
from tests.mqtt.conftest import stored

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(400)]

DOWN_S = 30


def test_cassandra_away_for_half_a_minute_loses_nothing(tmp_path: Path) -> None:
    with Cassandra(tmp_path / "server", owner=owner()) as server, keyspace(server.address) as store:
        data, source = tmp_path / "data", "sim://city?seed=2&rate=20"
        with Run(data, source, "--store", store.url, environment={**os.environ, **SECRET}) as run:
            run.wait(lambda: history(store) > 100)
            before = history(store)
            server.stop(signal.SIGKILL)
            stopped = time.monotonic()
            run.wait(lambda: standing(data)["trouble"])
            accepted = events(data)
            until(lambda: time.monotonic() > stopped + DOWN_S, within=2 * DOWN_S)
            assert events(data) > accepted + 100, "events came in while it was away"
            run.wait(lambda: standing(data)["events"] > 100)
            assert now_us() - standing(data)["level_at"] > DOWN_S / 3 * 1_000_000
            server.start()
            run.wait(lambda: not standing(data)["trouble"] and standing(data)["events"] < 100)
            run.wait(lambda: history(store) > accepted)
        assert history(store) > before
        found = {(row.source, row.id) for row in store.rows("SELECT source, id FROM {}.device_history")}
        assert len(found) == history(store)
        wanted = {row[:2] for row in stored(data, "source, id, device_id") if row[2] is not None}
        assert found <= wanted
        store.fill(data)  # what the run had accepted and not yet taken over when it ended
        assert {(row.source, row.id) for row in store.rows("SELECT source, id FROM {}.device_history")} == wanted
        assert "is there again" in run.errors.read_text("utf-8")


def history(store: Keyspace) -> int:
    return len(store.rows("SELECT id FROM {}.device_history"))


def events(data: Path) -> int:
    return int(status(data).get("events", 0))


def standing(data: Path) -> dict[str, Any]:
    """What the run says of its store."""
    if not DataDirectory(data).desk.exists():
        return {}
    with Desk(DataDirectory(data).desk) as desk:
        return dict(next(iter(desk.status().get("stores", {}).values()), {}))
