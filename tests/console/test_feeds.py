from __future__ import annotations

from typing import TYPE_CHECKING

from citywatch.settings import HOUR
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.unit.desk.facts import alert_id, fact, table

from .conftest import key, visitor

if TYPE_CHECKING:
    from django.test import Client

FEED = "/api/v1/feeds/alerts.geojson"


def test_the_feed_has_the_latest_alerts_as_they_are_now_without_plates(anna: Client, desk: Desk) -> None:
    now = now_us()
    old, test = fact(2, first_seen=now - 30 * HOUR), fact(3, first_seen=now, status="test")
    desk.put_facts(table([fact(1, first_seen=now), old, test, fact(4, first_seen=now, lat=None, lon=None)]), now=now)
    answer = anna.get(FEED)
    assert answer["Content-Type"] == "application/geo+json"
    body = answer.json()
    assert body["type"] == "FeatureCollection"
    assert {f["id"] for f in body["features"]} == {alert_id(1), alert_id(4)}
    (placed,) = (f for f in body["features"] if f["geometry"])
    assert placed["geometry"] == {"type": "Point", "coordinates": [-73.9, 40.7]}
    assert placed["properties"]["link"].endswith(f"/alerts/{alert_id(1)}")
    assert "K1234" not in answer.content.decode()


def test_the_feed_takes_conditions(anna: Client, desk: Desk) -> None:
    now = now_us()
    desk.put_facts(table(fact(n, first_seen=now, level="low" if n else "high") for n in range(5)), now=now)
    assert len(anna.get(FEED + "?level=low").json()["features"]) == 4
    assert len(anna.get(FEED + "?level=low&limit=2").json()["features"]) == 2
    assert anna.get(FEED + "?hours=0").status_code == 422


def test_the_feed_needs_the_right_to_read_and_records_what_is_unmasked(anna: Client, desk: Desk) -> None:
    desk.put_facts(table([fact(1, first_seen=now_us())]), now=now_us())
    assert visitor().get(FEED).status_code == 401
    assert visitor().get(FEED, headers=key("events:write")).status_code == 403
    assert "K1234" in anna.get(FEED + "?purpose=check").content.decode()
    assert [entry["purpose"] for entry in desk.audited()] == ["check"]
