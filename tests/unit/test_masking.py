from __future__ import annotations

import json
from typing import Any

from citywatch.event import BY_NAME
from citywatch.masking import SENSITIVE, masked, words_about


def alert(data: dict[str, Any], **told: Any) -> dict[str, Any]:
    event = {"source": "drone/4", "id": "17", "type": "anpr.read", "time": "2026-05-01T12:00:00.000000Z", "data": data}
    return {
        "id": "ab" * 32,
        "rule": "cloned_plate",
        "rule_id": "r",
        "rule_version": "v",
        "level": "high",
        "status": "stable",
        "title": "Same plate too far apart",
        "group": {},
        "values": {},
        "reason": "",
        "address": None,
        "evidence": [event],
        **told,
    }


def test_plates_names_phones_and_pictures_do_not_come_through() -> None:
    data = {
        "plate": "GZH7067",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "phone": "555-0100",
        "picture": "http://x/1",
    }
    text = json.dumps(masked(alert(data, group={"plate": "GZH7067"}, reason="Ada Lovelace in GZH7067")))
    for secret in (*data.values(), "Lovelace"):
        assert secret not in text


def test_a_plate_is_found_in_words_however_it_is_written() -> None:
    hidden = masked(alert({"plate": "GZH7067"}, reason="gzh-7067, GZH 7067 and GZH7067 are one; XGZH70671 is another"))
    assert hidden["reason"] == "•••, ••• and ••• are one; XGZH70671 is another"


def test_foreign_fields_of_a_message_stay_hidden_since_they_may_hold_anything() -> None:
    hidden = masked(alert({"plate_id": "GZH7067", "Driver": "Ada", "violation_code": 38, "lat": 40.7}))
    assert hidden["evidence"][0]["data"] == {"violation_code": 38, "lat": 40.7}


def test_an_id_that_holds_a_plate_is_hidden_and_the_alert_s_own_id_is_not() -> None:
    event_with_plate = alert({"plate": "GZH7067"})
    event_with_plate["evidence"][0]["id"] = "read-GZH7067-1"
    hidden = masked(event_with_plate)
    assert hidden["evidence"][0]["id"] == "read-•••-1"
    assert hidden["id"] == event_with_plate["id"]


def test_the_subject_by_which_a_rule_groups_is_hidden_in_its_words_too() -> None:
    hidden = masked(alert({"lat": 40.7}, group={"subject": "GZH7067"}, reason="GZH7067: 2 events within 1 h"))
    assert (hidden["group"], hidden["reason"]) == ({}, "•••: 2 events within 1 h")


def test_what_is_not_there_is_not_invented_and_the_alert_stays_as_it_was() -> None:
    original = alert({"plate": None, "lat": 40.7}, values={"speed_kmh": 468.0})
    before = json.dumps(original)
    hidden = masked(original)
    assert hidden["evidence"][0]["data"] == {"lat": 40.7}
    assert hidden["values"] == {"speed_kmh": 468.0}
    assert json.dumps(original) == before


def test_the_sensitive_fields_are_known_fields() -> None:
    assert set(SENSITIVE) <= set(BY_NAME)


def test_the_event_that_an_alert_is_about_is_named_unless_that_names_somebody() -> None:
    group = {"source": "drone/4", "id": "17"}
    assert masked(alert({"plate": "GZH7067"}, group=group))["group"] == group
    hidden = masked(alert({"plate": "GZH7067"}, group={"source": "drone/4", "id": "GZH7067"}))["group"]
    assert hidden == {"source": "drone/4", "id": "•••"}


def test_an_underscore_ends_a_plate_as_a_blank_does() -> None:
    shown = alert({"plate": "GZH7067", "street": "GZH7067_front"}, group={"source": "cam_GZH7067", "id": "GZH7067_1"})
    shown["evidence"][0]["id"] = "GZH7067_2026_1.jpg"
    hidden = masked(shown)
    assert "GZH7067" not in json.dumps(hidden)
    assert hidden["evidence"][0]["id"] == "•••_2026_1.jpg"


def test_a_telephone_number_is_found_in_words_however_it_is_written() -> None:
    hidden = masked(alert({"phone": "+1 212-555-0100"}, reason="call 12125550100, 1 (212) 555.0100, +1 212-555-0100"))
    assert hidden["reason"] == "call •••, •••, •••"
    assert masked(alert({"picture": "??"}, reason="why ??"))["reason"] == "why •••"


def test_a_plate_that_reads_like_a_word_of_an_alert_leaves_that_word() -> None:
    for plate in ("2026", "OPEN", "05"):
        own = {"state": "open", "outcome": None, "first_seen": "2026-05-01T12:00:00.000000Z"}
        own |= {"last_seen": own["first_seen"], "updated_at": own["first_seen"]}
        hidden = masked(alert({"plate": plate}, reason=f"plate {plate} seen", **own))
        assert {name: hidden[name] for name in own} == own
        assert hidden["evidence"][0]["time"] == "2026-05-01T12:00:00.000000Z"
        assert hidden["reason"] == "plate ••• seen"


def test_what_people_write_about_an_alert_is_without_its_plates_and_names() -> None:
    about = alert({"plate": "GZH7067", "last_name": "Lovelace"})
    assert words_about(about, "gzh 7067: Lovelace was seen by Ann") == "•••: ••• was seen by Ann"
