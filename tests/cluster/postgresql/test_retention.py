"""Retention reaches the desk on PostgreSQL, by the owner of its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from citywatch.alert import Action
from citywatch.connections.postgresql import Address
from citywatch.settings import DAY, HOUR
from citywatch.triage import Wish
from tests.cluster.running import citywatch
from tests.unit.desk.facts import NOW, alert_id, fact, table

if TYPE_CHECKING:
    from citywatch.stores.desk.server import Desk

pytestmark = pytest.mark.cluster

OLD = NOW - 40 * DAY


def told(desk: Desk) -> set[str]:
    return {alert["id"] for alert in desk.alerts()}


def test_what_is_old_goes_from_the_desk_on_a_server(desk: Desk, address: Address, tmp_path: Path) -> None:
    for name in ("open", "closed", "newest"):
        desk.put_facts(table([fact(name, first_seen=OLD)]), now=OLD)
    desk.act(alert_id("closed"), Wish(Action.CLOSE, "kim", "cli", outcome="true_positive"), now=OLD + HOUR)
    desk.put_facts(table([fact("last", first_seen=OLD)]), now=OLD + 2 * HOUR)
    (tmp_path / "citywatch.toml").write_text('[retention]\nalerts = "30d"\n', "utf-8")
    server = {name: address.options[name] for name in ("host", "port", "user", "dbname")}
    url = "postgresql://{user}@{host}:{port}/{dbname}".format(**server) + f"?schema={address.schema}"
    command = ("retention", "apply", "--database", url, "--data", tmp_path, "--format", "json")
    before = told(desk)
    counted = citywatch(*command, "--dry-run")
    assert json.loads(counted.stdout) == {"dry_run": True, "removed": {"alerts": 1}}, counted.stderr
    assert told(desk) == before
    assert json.loads(citywatch(*command).stdout)["removed"] == {"alerts": 1}
    assert len(told(desk)) == len(before) - 1
    in_url = citywatch("retention", "apply", "--database", url.replace("@", ":secret@"), "--data", tmp_path)
    assert in_url.returncode == 2
    assert "secret" not in in_url.stderr
