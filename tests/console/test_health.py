from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from citywatch.console import site
from citywatch.delivery import Planned, Room
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from citywatch.stores.directory import DataDirectory
from citywatch.stores.gallery import Gallery
from tests.unit.desk.facts import fact, table
from tests.unit.desk.violations import violation
from tests.unit.stores.pictures import DOT

from .conftest import key, visitor

if TYPE_CHECKING:
    from django.test import Client

SAMPLE = re.compile(r'^[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+-]+$')


def test_healthz_says_whether_the_engine_runs(desk: Desk) -> None:
    assert visitor().get("/healthz").json()["engine"] == "stopped"
    desk.set_status({"engine": {"clock": now_us()}})
    assert visitor().get("/healthz").json() == {"status": "ok", "engine": "running", "version": "0.1.0"}


def test_an_engine_that_has_said_nothing_for_a_while_has_stopped(desk: Desk) -> None:
    desk.set_status({"engine": {"clock": 5}}, now=now_us() - 11_000_000)
    assert visitor().get("/healthz").json()["engine"] == "stopped"


def all_documented(lines: list[str]) -> bool:
    """Whether the reference page names every metric, with its kind."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text("utf-8")
    told = [line.split()[2:] for line in lines if line.startswith("# TYPE")]
    return all(f"| `{name}` | {kind} |" in page for name, kind in told)


def test_metrics_are_what_prometheus_reads(anna: Client, desk: Desk) -> None:
    desk.put_facts(table([fact(1), fact(2), fact(3, rule='odd "name"\\', level="low")]), now=now_us())
    counts = {"events": 10, "duplicates": 2, "rejected": 1}
    desk.set_status({"engine": {"clock": now_us() - 500_000, "counts": counts, "events": 10, "evaluated": 8}})
    answer = anna.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = answer.content.decode().splitlines()
    assert all(line.startswith("# ") or SAMPLE.match(line) for line in lines)
    assert all_documented(lines)
    assert 'citywatch_records_total{outcome="events"} 10' in lines
    assert 'citywatch_alerts_total{rule="cloned_plate",level="high",status="stable"} 2' in lines
    assert 'citywatch_alerts{state="open"} 3' in lines
    assert "citywatch_events_waiting 2" in lines
    assert "citywatch_engine_up 1" in lines
    (lag,) = (float(line.split()[1]) for line in lines if line.startswith("citywatch_clock_lag_seconds "))
    assert 0.5 <= lag < 5
    assert [line.split()[2] for line in lines if line.startswith("# TYPE")] == list(
        dict.fromkeys(re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#"))
    )


def test_metrics_tell_of_tickets_and_images(anna: Client, desk: Desk) -> None:
    desk.put_violations([violation(f"v{n}", n, plate=f"K{n}") for n in range(3)])
    gallery = Gallery(DataDirectory(desk.path.parent))
    site.install(replace(site.current(), gallery=gallery))
    kept = gallery.receive("i1", DOT)
    lines = anna.get("/metrics").content.decode().splitlines()
    assert all_documented(lines)
    assert 'citywatch_tickets{state="proposed"} 3' in lines
    assert {"citywatch_images 1", f"citywatch_image_bytes {kept.size}"} <= set(lines)


def test_metrics_tell_of_deliveries(anna: Client, desk: Desk) -> None:
    now = now_us()
    desk.put_facts(table(fact(name, first_seen=now) for name in range(3)), now=now)
    names = (n for n, _ in desk.to_plan())
    desk.plan(
        [Planned(n, "mail/anna@example.org", "all", urgent=False, held=False, due=now - 7_000_000) for n in names],
        upto=3,
    )
    desk.compose("mail/anna@example.org", Room(2, 2))
    one = desk.outgoing("mail/anna@example.org")
    assert one is not None
    desk.sent(one)
    rest = desk.outgoing("mail/anna@example.org")
    assert rest is not None
    desk.give_up(rest, "no such user")
    lines = anna.get("/metrics").content.decode().splitlines()
    assert all(line.startswith("# ") or SAMPLE.match(line) for line in lines)
    assert all_documented(lines)
    assert 'citywatch_delivery_told_total{notifier="mail"} 1' in lines
    assert 'citywatch_delivery_given_up{notifier="mail"} 2' in lines
    assert 'citywatch_delivery_waiting{notifier="mail"} 0' in lines
    assert "anna" not in "\n".join(lines)


def test_metrics_tell_of_stores_elsewhere(anna: Client, desk: Desk) -> None:
    level = {"events": 0, "alerts": 0, "level_at": now_us() - 9_000_000, "trouble": None}
    away = {"events": 7, "alerts": 2, "level_at": now_us() - 60_000_000, "trouble": "no answer"}
    unknown = {"events": None, "alerts": None, "level_at": now_us() - 60_000_000, "trouble": "no answer"}
    desk.set_status({"stores": {"cassandra://a/k": level, "cassandra://b/k": away, "cassandra://c/k": unknown}})
    lines = anna.get("/metrics").content.decode().splitlines()
    assert all(line.startswith("# ") or SAMPLE.match(line) for line in lines)
    assert all_documented(lines)
    assert 'citywatch_store_behind{store="cassandra://b/k",what="events"} 7' in lines
    assert 'citywatch_store_behind{store="cassandra://b/k",what="alerts"} 2' in lines
    assert not [line for line in lines if line.startswith('citywatch_store_behind{store="cassandra://c/k"')]
    assert 'citywatch_store_delay_seconds{store="cassandra://a/k"} 0.0' in lines
    delays = [float(line.split()[1]) for line in lines if line.startswith("citywatch_store_delay_seconds{")]
    assert [60 <= delay < 90 for delay in delays] == [False, True, True]
    assert [line for line in lines if line.startswith("citywatch_store_up{")] == [
        f'citywatch_store_up{{store="cassandra://{name}/k"}} {up}' for name, up in (("a", 1), ("b", 0), ("c", 0))
    ]


def test_metrics_tell_how_much_of_the_alert_topic_the_console_has_not_read(anna: Client, desk: Desk) -> None:
    feed = {"feed": {"lag": {"kafka://broker/citywatch.alerts": {"citywatch.alerts/0": 12}}}}
    sample = 'citywatch_source_lag{source="kafka://broker/citywatch.alerts",partition="citywatch.alerts/0"} 12'
    desk.set_status({**feed, "engine": {"lag": {"kafka://broker/t": {"t/0": 3}}}})
    lines = anna.get("/metrics").content.decode().splitlines()
    assert {sample, 'citywatch_source_lag{source="kafka://broker/t",partition="t/0"} 3'} <= set(lines)
    desk.set_status(feed, now=now_us() - 11_000_000)
    assert sample not in anna.get("/metrics").content.decode(), "nobody has looked for a while"


def test_metrics_name_no_plate(anna: Client, desk: Desk) -> None:
    desk.put_facts(table([fact(1)]), now=now_us())
    assert "K1234" not in anna.get("/metrics").content.decode()


def test_metrics_need_a_session_or_a_key_for_them(desk: Desk) -> None:
    refused = visitor().get("/metrics")
    assert (refused.status_code, refused["Content-Type"]) == (401, "application/problem+json")
    assert visitor().get("/metrics", headers=key("metrics:read")).status_code == 200
    assert visitor().get("/metrics", headers=key("alerts:read")).status_code == 403
