"""deploy/compose.yaml brought up: every service's own command, settings and health check, in the order of the file."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.compose.container import Container
from tests.cluster.compose.images import container
from tests.cluster.compose.layout import BIN, DEPLOY, SERVICES, Layout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PATIENCE_S = 240
DEMO = [name for name, service in SERVICES.items() if "profiles" not in service]


@contextmanager
def up(names: Sequence[str]) -> Iterator[tuple[Layout, dict[str, Container]]]:
    """What `docker compose up --wait` does."""
    with tempfile.TemporaryDirectory(prefix="citywatch-compose-") as name:
        layout = Layout(Path(name))
        Path(name).chmod(0o755)  # PostgreSQL runs as another user
        (layout.root / "secrets.sh").write_bytes((DEPLOY / "secrets.sh").read_bytes())
        subprocess.run(["sh", str(layout.root / "secrets.sh")], check=True, capture_output=True)
        running = {name: container(layout, name) for name in names}
        try:
            bring_up(running)
            yield layout, running
        finally:
            for one in reversed(running.values()):
                one.stop()


def bring_up(running: dict[str, Container]) -> None:
    """Start each service when those that it depends on are as it wants them; wait until all are well."""
    well: set[str] = set()
    deadline = time.monotonic() + PATIENCE_S
    while len(well) < len(running):
        for name, one in running.items():
            if name in well:
                continue
            if one.pid == 0:
                if set(one.service.get("depends_on", {})) <= well:
                    one.launch()
            elif one.ready():
                well.add(name)
            else:
                assert not one.failed(), f"{name} has ended:\n{one.said()}"
        left = sorted(set(running) - well)
        assert time.monotonic() < deadline, "\n".join(f"{name}:\n{running[name].said()}" for name in left)
        time.sleep(1)


def alerts(layout: Layout, service: str, key: str) -> set[str]:
    """Ids of the alerts that a console shows."""
    request = urllib.request.Request(f"http://{layout.address(service)}:8000/api/v1/alerts?limit=500")
    request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - always http
        found: dict[str, list[dict[str, Any]]] = json.load(answer)
    return {alert["id"] for alert in found["alerts"]}


def key(layout: Layout, service: str, *words: str) -> str:
    """A key for the API, made where the service runs."""
    asked = [str(BIN / "citywatch"), "users", "keys", "add", "tests", "--scope", "alerts:read", *words]
    environment = layout.environment(service)
    return subprocess.run(asked, env=environment, check=True, capture_output=True, text=True).stdout.split()[-1]


def until(done: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def test_the_demo_comes_up_in_its_order_and_its_alerts_reach_every_place() -> None:
    with up(DEMO) as (layout, running):
        console, engine = key(layout, "console"), key(layout, "engine", "--data", str(layout.volume("data")))
        until(
            lambda: len(alerts(layout, "console", console) & alerts(layout, "engine", engine)) >= 5,
            "the console shows alerts of Spark that the engine shows as well",
        )
        until(lambda: all(stored(layout)[table] for table in ("alerts", "relays")), "Cassandra has alerts")
        until(lambda: all(one.ready() for one in running.values()), "all are healthy, as compose asks, again and again")
        read_only = [one for one in running.values() if one.service.get("read_only")]
        assert {one.name: one.written() for one in read_only} == {one.name: [] for one in read_only}


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
