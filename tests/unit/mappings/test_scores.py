"""The scores of person reports, against a plain reading of their formula."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import shapely
from hypothesis import given
from hypothesis import strategies as st

from citywatch.scores import formula
from tests.unit.mappings.intake import checked, chunk, cloudevent, only, parser

ZONES = {"school": shapely.box(-74, 40, -73, 41)}
PARSER = parser(ZONES)
BEHAVIORS = sorted(formula()["behaviors"])
SEED = {name: of["seed"] for name, of in formula()["behaviors"].items()}


def seed_score(behaviors: list[str], x: float, y: float, hour: int, age: int) -> int:
    """The older watcher's formula, in its own words."""
    location = round(2 - math.dist((x, y), (50, 50)) / 50, 2)
    of_hour = 1.2 if 6 <= hour <= 9 or 16 <= hour <= 19 else 1.3 if 1 <= hour <= 5 else 1
    of_age = 1.2 if 16 <= age <= 19 else 1.3 if 20 <= age <= 29 else 0.7 if age > 65 else 1
    return int(sum(SEED[name] for name in behaviors) * location * of_hour * of_age * 100 / 25)


def _report(**data: Any) -> dict[str, Any]:
    time = data.pop("time", datetime(2026, 5, 4, 11, tzinfo=UTC))
    return only(PARSER.parse(chunk([cloudevent(data, type="person.report", time=time.isoformat())])))


@checked
@given(
    st.lists(st.sampled_from(BEHAVIORS), min_size=3, max_size=3),
    st.integers(1, 100),
    st.integers(1, 100),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 5, 4, 11), timezones=st.just(UTC)),
    st.integers(1, 99),
)
def test_dangerosity_is_the_older_formula(behaviors: list[str], x: int, y: int, time: datetime, age: int) -> None:
    report = _report(behaviors=behaviors, x=x, y=y, age=age, time=time)
    hour = time.astimezone(ZoneInfo("America/New_York")).hour
    assert report["dangerosity"] == seed_score(behaviors, x, y, hour, age)


def test_all_28_behaviours_have_their_seed_score() -> None:
    assert len(BEHAVIORS) == 28
    assert sum(SEED.values()) == 4 * 1 + 7 * 2 + 6 * 3 + 5 * 4 + 10


def test_a_message_keeps_its_own_scores() -> None:
    report = _report(behaviors=["Hug"], x=1, y=1, age=20, dangerosity=77, behavior_score=3)
    assert (report["dangerosity"], report["behavior_score"]) == (77, 3)


def test_without_a_place_on_the_plane_there_is_no_dangerosity() -> None:
    report = _report(behaviors=["Carry Weapon"], age=20)
    assert report["dangerosity"] is None
    assert report["behavior_score"] == 60


def test_a_place_far_off_the_plane_has_no_dangerosity_and_harms_no_neighbour() -> None:
    reports = [{"behaviors": behaviors, "x": 1e308, "y": -1e308} for behaviors in (["Carry Weapon"], ["Hug"], [])]
    events = [cloudevent(report, id=str(n), type="person.report") for n, report in enumerate(reports)]
    parsed = PARSER.parse(chunk([*events, cloudevent({"behaviors": ["Hug"]}, id="near", type="person.report")])).events
    assert parsed["dangerosity"].to_pylist()[:2] == [None, None]
    assert parsed["behavior_score"].null_count == 0


def test_what_place_and_hour_add_is_only_added_to_what_is_done() -> None:
    night = datetime(2026, 5, 4, 6, tzinfo=UTC)  # two o'clock in the city
    at_school = {"lat": 40.5, "lon": -73.5}
    assert _report(behaviors=["Hug"], time=night, **at_school)["behavior_score"] == 0
    assert _report(behaviors=["Loitering"])["behavior_score"] == 5
    assert _report(behaviors=["Loitering"], **at_school)["behavior_score"] == 20
    assert _report(behaviors=["Loitering"], time=night, **at_school)["behavior_score"] == 30
    assert _report(behaviors=["Loitering", "Loitering"])["behavior_score"] == 5


@checked
@given(st.lists(st.sampled_from(BEHAVIORS) | st.text(max_size=5), max_size=6), st.integers(0, 120), st.text(max_size=3))
def test_the_behaviour_score_is_bounded_and_blind_to_age_and_gender(names: list[str], age: int, gender: str) -> None:
    score = _report(behaviors=names, lat=40.5, lon=-73.5)["behavior_score"]
    assert 0 <= score <= 100
    assert _report(behaviors=names, lat=40.5, lon=-73.5, age=age, gender=gender)["behavior_score"] == score


def test_only_reports_of_persons_are_scored() -> None:
    line = cloudevent({"behaviors": ["Graffiti"], "x": 1, "y": 1}, type="camera.event")
    assert only(PARSER.parse(chunk([line])))["behavior_score"] is None
