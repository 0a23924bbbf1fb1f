"""What retention takes from the desk, and what stays however old it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from citywatch.alert import Action
from citywatch.settings import DAY, HOUR, Retention
from citywatch.stores.desk import Desk
from citywatch.stores.desk.rejected import RAW_LIMIT
from citywatch.triage import Wish

from .desks import in_a_file
from .facts import NOW, alert_id, event, fact, table

OLD = NOW - 40 * DAY


def close(desk: Desk, name: str, at: int) -> None:
    desk.act(alert_id(name), Wish(Action.CLOSE, "kim", "cli", outcome="true_positive"), now=at)


def told(desk: Desk) -> set[str]:
    return {alert["id"] for alert in desk.alerts()}


def test_closed_alerts_go_when_nothing_about_them_has_changed_for_long(desk: Desk) -> None:
    for name in ("open", "closed", "lately", "grown", "newest"):
        desk.put_facts(table([fact(name, first_seen=OLD)]), now=OLD)
    for name in ("closed", "grown"):
        close(desk, name, OLD + HOUR)
    close(desk, "lately", NOW - DAY)
    desk.put_facts(table([fact("grown", first_seen=OLD, last_seen=NOW - HOUR, count=2)]), now=NOW - HOUR)
    assert desk.old_alerts(NOW - 30 * DAY) == 1
    assert desk.forget_alerts(NOW - 30 * DAY) == 1
    assert told(desk) == {alert_id(name) for name in ("open", "lately", "grown", "newest")}
    assert desk.old_alerts(NOW - 30 * DAY) == 0


def test_alerts_of_rules_on_trial_go_unless_somebody_worked_on_them(desk: Desk) -> None:
    for name in ("trial", "looked at", "newest"):
        desk.put_facts(table([fact(name, status="test", first_seen=OLD)]), now=OLD)
    desk.act(alert_id("looked at"), Wish(Action.ACK, "kim", "cli"), now=OLD + HOUR)
    desk.forget_alerts(NOW)
    assert told(desk) == {alert_id("looked at"), alert_id("newest")}


def test_counts_are_right_after_a_removal_and_totals_remain(desk: Desk) -> None:
    desk.put_facts(table(fact(n, first_seen=OLD) for n in range(5)), now=OLD)
    for name in range(3):
        desk.act(alert_id(name), Wish(Action.CLOSE, "kim", "cli", outcome="duplicate"), now=OLD)
    change = desk.last_change()
    assert desk.forget_alerts(NOW) == 2, "the latest change stays, so that numbers go on from there"
    assert desk.state_counts() == {"open": 2, "acknowledged": 0, "shelved": 0, "closed": 1}
    assert sum(row[-1] for row in desk.tallies()) == 5
    assert desk.last_change() == change
    desk.put_facts(table([fact(0, first_seen=OLD)]), now=NOW)
    assert desk.state_counts()["open"] == 3, "told again it is there again"


def test_events_and_images_of_alerts_that_are_not_closed_are_needed(desk: Desk) -> None:
    for name, id_, image in (("open", "1", "i1"), ("shelved", "2", None), ("closed", "3", "i3")):
        data = {"image_id": image} if image else {}
        desk.put_facts(table([fact(name, evidence=[event(id_, **data)])]), now=NOW)
    desk.act(alert_id("shelved"), Wish(Action.SHELVE, "kim", "cli", until=NOW + DAY), now=NOW)
    close(desk, "closed", NOW)
    assert sorted(desk.needed_events().to_pylist(), key=str) == [
        {"source": "drone/4", "id": "1"},
        {"source": "drone/4", "id": "2"},
    ]
    assert desk.needed_images() == {"i1"}


@in_a_file
def test_rejected_records_go_with_the_files_of_large_ones(desk: Desk) -> None:
    def put(name: str, at: int, size: int) -> None:
        moment = datetime.fromtimestamp(at / 1e6, UTC)
        row = {"id": name, "source": "a.csv", "line": 1, "reason": "odd", "raw": b"x" * size, "mapping": None}
        record = pa.table({key: [value] for key, value in row.items()})
        times = pa.array([moment], pa.timestamp("us", tz="UTC"))
        desk.put_rejected(record.append_column("received_at", times))

    put("old", OLD, 10)
    put("large", OLD, RAW_LIMIT + 1)
    put("new", NOW, RAW_LIMIT + 1)
    assert desk.old_rows("rejected", NOW - DAY) == 2
    assert desk.forget_rows("rejected", NOW - DAY) == 2
    assert [record["id"] for record in desk.rejected()] == ["new"]
    assert [path.name for path in (desk.path.parent / "rejected").iterdir()] == ["new.raw"]


def test_old_entries_of_the_audit_log_go(desk: Desk) -> None:
    desk.audit("kim", "events")
    assert desk.forget_rows("audit", NOW - 1) == desk.old_rows("audit", 0) == 0
    assert desk.forget_rows("audit", 2**62) == 1
    assert desk.audited() == []


def test_a_request_is_taken_once_and_its_answer_read_once(desk: Desk) -> None:
    first, second = desk.ask("compact"), desk.ask("expire", {"dry_run": True})
    taken = desk.take_request()
    assert taken is not None
    assert (taken.id, taken.what, taken.how) == (first, "compact", None)
    assert desk.take_back(second)
    assert not desk.take_back(first)
    assert desk.take_request() is None
    assert desk.take_answer(first) is None
    desk.answer(taken, {"done": 1})
    assert desk.take_answer(first) == {"done": 1}
    assert desk.take_answer(first) is None


def test_what_is_due_is_removed_kind_by_kind_and_a_dry_run_only_counts(desk: Desk) -> None:
    for name in ("closed", "newest"):
        desk.put_facts(table([fact(name, first_seen=OLD)]), now=OLD)
    close(desk, "closed", OLD + HOUR)
    kept = Retention.of({"alerts": "30d", "rejected": "30d"})
    desk.put_facts(table([fact("last", first_seen=NOW)]), now=NOW)
    due = {"alerts": 1, "rejected": 0}
    assert desk.expire(kept, NOW, dry_run=True) == due
    assert desk.expire(kept, NOW, dry_run=False) == due
    assert told(desk) == {alert_id("newest"), alert_id("last")}
    assert desk.expire(Retention(), NOW, dry_run=False) == {}
