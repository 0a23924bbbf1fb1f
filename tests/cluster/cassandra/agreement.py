"""Whether a keyspace holds what a data directory holds, and nothing else: every row, by its id, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from citywatch.analytics.render.pseudonyms import read_key
from citywatch.cli.report import KEY_FILE
from citywatch.masking import subjects
from citywatch.stores.cassandra.rows import plate_hash
from citywatch.stores.desk import Desk
from tests.cluster.cassandra.keyspaces import Keyspace
from tests.mqtt.conftest import stored


def key_of(data: Path) -> bytes:
    """With which the commands hash the plates of a data directory."""
    return read_key(data / KEY_FILE)


def alerts_of(data: Path) -> list[dict[str, Any]]:
    """The alerts of a desk."""
    with Desk(data / "desk.sqlite") as desk:
        return list(desk.alerts())


def same_alerts(store: Keyspace, data: Path, key: bytes) -> None:
    """Fails where an alert of the desk is absent, doubled, or older than there, in any table."""
    wanted = {alert["id"]: alert for alert in alerts_of(data)}
    assert {row.id: json.loads(row.line) for row in store.rows("SELECT id, line FROM {}.alerts")} == wanted
    shown = sorted(
        (a["first_seen"][:10], a["rule"], a["level"], ident, a["count"], a["state"]) for ident, a in wanted.items()
    )
    for table in ("alerts_by_day", "alerts_by_rule"):
        rows = store.rows(f"SELECT day, rule, level, id, count, state FROM {{}}.{table}")
        assert sorted((str(r.day), r.rule, r.level, r.id, r.count, r.state) for r in rows) == shown, table
    plates = [
        (plate_hash(key, plate), a["first_seen"][:8] + "01", ident, a["count"])
        for ident, a in wanted.items()
        for plate in {value for field, value in subjects(a) if field == "plate"}
    ]
    rows = store.rows("SELECT plate_hash, month, id, count FROM {}.alerts_by_plate")
    assert sorted((r.plate_hash, str(r.month), r.id, r.count) for r in rows) == sorted(plates)


def same_events(store: Keyspace, data: Path) -> None:
    """Fails where an event of the log is absent or doubled, or where a device said something later."""
    events = stored(data, "device_id, source, id, type, epoch_ms(time)")
    history = store.rows("SELECT device_id, source, id FROM {}.device_history")
    said = [(device, source, ident, at) for device, source, ident, _, at in events if device is not None]
    assert sorted((r.device_id, r.source, r.id) for r in history) == sorted(row[:3] for row in said)
    latest: dict[object, int] = {}
    for device, *_, at in said:
        latest[device] = max(latest.get(device, 0), int(str(at)))
    devices = store.rows("SELECT device_id, toUnixTimestamp(said_at) AS at FROM {}.devices")
    assert {row.device_id: row.at for row in devices} == latest
    reports = [(source, ident) for _, source, ident, kind, _ in events if kind == "person.report"]
    persons = sorted(f"{ident}" if source == "safety-watcher" else f"{source}/{ident}" for source, ident in reports)
    assert sorted(row.id for row in store.rows("SELECT id FROM {}.users")) == persons
