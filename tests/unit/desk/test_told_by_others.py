"""Whatever a topic of alerts brings: it is an alert, or a rejected record with a reason, and nobody falls over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citywatch.cli.alarm import Alarm
from citywatch.stores.desk import Desk
from citywatch.stores.desk.told import Message, facts_of
from citywatch.triage import EVERY

SEEN = {"first_seen": "2026-05-01T12:04:00.000000Z", "last_seen": "2026-05-01T12:05:00.000000Z"}
EVENT = {"source": "s", "id": "1", "type": "t", "time": SEEN["first_seen"], "data": {"plate": "K1"}}
WORDS = {"rule": "r", "rule_id": "i", "rule_version": "v", "title": "t", "level": "low", "status": "stable"}
PLACE = {"lat": 40.5, "lon": -74.0, "address": None}
ALERT: dict[str, Any] = {"id": "ab" * 32, **WORDS, **SEEN, **PLACE, "count": 2, "late": False, "state": "open"}
ALERT |= {"group": {"plate": "K1"}, "values": {"speed": 4.5}, "reason": "K1 was seen", "evidence": [EVENT]}
POISON: list[bytes] = [
    b"",
    b"\xff\xfe",
    b"\x00\x01\x02",
    b'{"id": "' + b"a" * 100_000,
    b"[" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b"[1]",
    b"null",
    b'"text"',
    b"1" * 5_000,
    b'{"unknown": 1}',
    json.dumps({**ALERT, "title": "\ud800"}).encode(),
    json.dumps({**ALERT, "evidence": 5}).encode(),
    json.dumps({**ALERT, "evidence": ["no event"]}).encode(),
    json.dumps({**ALERT, "group": []}).encode(),
    json.dumps({**ALERT, "values": "many"}).encode(),
    json.dumps({**ALERT, "lat": float("nan")}).encode(),
    json.dumps({**ALERT, "lon": 1e999}).encode(),
    json.dumps({**ALERT, "first_seen": "2026-05-01T12:04:00"}).encode(),
    json.dumps({**ALERT, "first_seen": "0001-01-01T00:00:00+14:00"}).encode(),
    json.dumps({**ALERT, "count": 1 << 70}).encode(),
    json.dumps(ALERT).encode()[:-30],
]
"""What is no alert: binary, cut off, huge, deep, and of another shape."""

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _messages(contents: list[bytes]) -> list[Message]:
    return [Message("citywatch.alerts/0", number, content) for number, content in enumerate(contents)]


def test_what_is_no_alert_is_kept_with_its_place_and_the_reason_between_alerts(tmp_path: Path) -> None:
    good = json.dumps(ALERT).encode()
    facts, refused = facts_of(_messages([good, *POISON, good]))
    assert (facts.num_rows, refused.num_rows) == (2, len(POISON))
    assert refused["line"].to_pylist() == [*range(1, 1 + len(POISON))]
    assert refused["raw"].to_pylist() == POISON
    assert all(len(reason or "") > len("no alert: ") for reason in refused["reason"].to_pylist())
    with Desk(tmp_path / "desk.sqlite") as desk:
        desk.put_rejected(refused)
        desk.put_facts(facts)
        assert len(list(desk.lines(EVERY))) == 1


@given(field=st.sampled_from(sorted(ALERT)), value=ANYTHING)
def test_an_alert_with_anything_in_a_field_is_an_alert_or_refused(field: str, value: Any) -> None:
    content = json.dumps({**ALERT, field: value}).encode()
    facts, refused = facts_of(_messages([content]))
    assert facts.num_rows + refused.num_rows == 1
    json.dumps(facts.to_pylist(), default=str).encode()


@pytest.mark.parametrize("form", ["line", "ndjson"])
def test_an_alarm_rings_for_alerts_and_counts_what_is_none(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    alarm = Alarm("America/New_York", form)
    for content in [json.dumps(ALERT).encode(), *POISON, None, json.dumps(ALERT).encode()]:
        alarm.ring(content)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) + alarm.unread == 3 + len(POISON)
    assert lines[0] == lines[-1]


@given(field=st.sampled_from(sorted(ALERT)), value=ANYTHING, form=st.sampled_from(["line", "ndjson"]))
def test_an_alarm_can_say_or_count_an_alert_with_anything_in_a_field(field: str, value: Any, form: str) -> None:
    Alarm("America/New_York", form).ring(json.dumps({**ALERT, field: value}).encode())
