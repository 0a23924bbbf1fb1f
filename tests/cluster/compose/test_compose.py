"""deploy/compose.yaml brought up: every service's own command, settings and health check, in the order of the file."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.cluster.compose.demo import DEMO, citywatch, outside, until, up
from tests.cluster.compose.layout import Layout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def alerts(layout: Layout, service: str, key: str) -> set[str]:
    """Ids of the alerts that a console shows."""
    request = urllib.request.Request(f"http://{layout.address(service)}:8000/api/v1/alerts?limit=500")
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - always http
        found: dict[str, list[dict[str, Any]]] = json.load(answer)
    return {alert["id"] for alert in found["alerts"]}


def key(layout: Layout, service: str, *words: str) -> str:
    """A key for the API, made where the service runs."""
    return citywatch(layout, service, "users", "keys", "add", "tests", "--scope", "alerts:read", *words).split()[-1]


def test_the_demo_comes_up_in_its_order_and_its_alerts_reach_every_place() -> None:
    with up(DEMO) as (layout, running):
        console, engine = key(layout, "console"), key(layout, "engine", "--data", str(layout.volume("data")))
        until(
            lambda: len(alerts(layout, "console", console) & alerts(layout, "engine", engine)) >= 5,
            "the console shows alerts of Spark that the engine shows as well",
        )
        until(lambda: all(stored(layout)[table] for table in ("alerts", "relays")), "Cassandra has alerts")
        until(lambda: all(one.ready() for one in running.values()), "all are healthy, as compose asks, again and again")
        assert outside(running) == {}


def stored(layout: Layout) -> dict[str, int]:
    """Rows of each table of Cassandra."""
    from cassandra.cluster import Cluster

    cluster = Cluster([layout.address("cassandra")], protocol_version=5)
    try:
        session = cluster.connect("citywatch")
        tables = sorted(cluster.metadata.keyspaces["citywatch"].tables)
        return {table: session.execute(f'SELECT count(*) FROM "{table}"').one()[0] for table in tables}
    finally:
        cluster.shutdown()
