"""Why an alert was raised, as a person reads it: the words of every shipped rule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from citywatch.engine.step import Step
from citywatch.engine.words import reason, span
from citywatch.rules.load import load_rules, shipped
from citywatch.rules.testing import batch_of, default_type
from citywatch.settings import DAY, HOUR, MINUTE, SECOND, Settings

RULESET = load_rules([shipped()], Settings(), run_tests=False)

REASONS = {
    "average_speed": "K1, Oak Avenue seen 1.1 km apart within 30 s (133 km/h)",
    "bag_in_crowd": "precinct 71: unattended bag and dense crowd within 5 min",
    "bag_left": "device c1: object left, then no object taken for 3 min",
    "battery_not_changed": "drone 4: battery low, then no new battery for 5 min",
    "camera_frozen": "device c1, image i1: 5 detections within 2 min",
    "camera_silent": "camera c1: no report for 5 min",
    "camera_tampered": "lens covered",
    "cloned_plate": "K1 seen 37.6 km apart within 4 min (564 km/h)",
    "crowd_surge": "device c1: 30 detections within 2 min, 4 in the 2 min before",
    "device_overheats": "drone 4: 3 reports within 5 min",
    "drone_lost": "device 4: in the air, then no further word for 4 min",
    "gunfire": "precinct 61: 2 different devices within 10 s",
    "image_missing": "image i1: violation with image, then no image arrived for 2 min",
    "needs_human": "plate K1, a human is needed",
    "new_device_fault": "device c1: label lens_blocked for the first time in 7 d",
    "plate_swapped": "K1: vehicle make changed from Honda to Ford",
    "prestacop_alert": "plate VWWFHVR, code 95",
    "reconnaissance": "person p1: watches exits, then tests security, then enters restricted within 30 min",
    "repeat_offender": "K1: 3 violations within 24 h",
    "seed_dangerosity": "person p1, dangerosity 51",
    "seen_on_many_cameras": "person p1: 4 different devices within 30 min",
    "sensor_stuck": "device s1, value 20.0: 60 readings within 30 min",
    "shots_and_flight": "precinct 61: shot heard, then crowd running within 3 min",
    "speeding_at_school": "plate K1, 85.0 km/h",
    "standing_at_school": "K1: there for 5 min or longer",
    "stolen_plate": "plate TAA1000",
    "street_race": "device anpr-0001: 2 different plates within 15 s",
    "ticketed_again": "K1, NY: 3 tickets within 24 h",
    "wanted_person": "person 00000000-0000-4000-8000-000000000001, Phoning",
    "way_to_school_blocked": "plate K1, code 50",
    "wrong_way": "wrong way",
}
"""Of the first test of each rule that fires."""


@pytest.mark.parametrize("name", sorted(rule.name for rule in RULESET.rules if rule.alerts))
def test_a_rule_says_why_it_fired(name: str) -> None:
    alone = replace(RULESET, rules=(RULESET[name],))
    test = next(test for test in RULESET[name].tests if test.expect)
    with duckdb.connect(config={"threads": 1}) as con:
        con.begin()
        batch, clock = batch_of(test, alone, default_type(RULESET[name]))
        facts = Step(con, alone, Settings()).advance(batch, clock)
    assert facts["reason"].to_pylist()[0] == REASONS[name]


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (90 * SECOND, "90 s"),
        (5 * MINUTE, "5 min"),
        (DAY, "24 h"),
        (7 * DAY, "7 d"),
        (36 * HOUR, "36 h"),
        (1500, "0.0015 s"),
    ],
)
def test_a_duration_in_words(duration: int, said: str) -> None:
    assert span(duration) == said


@pytest.mark.parametrize(
    ("correlation", "said"),
    [
        ("type: change, field: subject", "drone 4: subject changed"),
        ("type: new_terms, field: subject", "drone 4: subject for the first time in 1 h"),
        ("type: change, field: label", "drone 4: label changed from a to b"),
    ],
)
def test_a_value_that_does_not_stand_in_data_is_left_out(tmp_path: Path, correlation: str, said: str) -> None:
    head = "title: t\nid: 7b7f0c36-7f0e-4b5e-9d0a-0a54f6f0a001\nname: r\nstatus: experimental\n"
    (tmp_path / "r.yaml").write_text(f"{head}correlation: {{{correlation}, group-by: [device_id], timespan: 1h}}\n")
    (rule,) = load_rules([tmp_path], Settings(), run_tests=False).rules
    event, before = '{"device_kind": "drone", "label": "b"}', '{"label": "a"}'
    assert reason(rule.correlated, {"device_id": "4"}, {}, event, before) == said
