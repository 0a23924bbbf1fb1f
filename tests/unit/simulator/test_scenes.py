"""Every planned incident raises the alert of its rule, and no alert comes of anything else."""

from __future__ import annotations

from collections import Counter

import pytest

from citywatch.rules.load import load_rules, shipped
from citywatch.rules.model import Status
from citywatch.settings import SECOND
from citywatch.sources.simulator.city import Plan, batches
from citywatch.sources.simulator.scenes import SCENES, STOLEN, stolen
from citywatch.sources.simulator.simulation import parse
from citywatch.sources.simulator.stream import Planted

from .host import SETTINGS, Raised, raised

WITHOUT_HISTORY = "sim://city?duration=10m&seed=3"
WITH_HISTORY = "sim://city?duration=4m&history=13h&seed=4"


def planted(address: str) -> list[Planted]:
    return [item for batch in batches(parse(address).plan) for item in batch.planted]


@pytest.fixture(scope="module", params=[WITHOUT_HISTORY, WITH_HISTORY])
def run(request: pytest.FixtureRequest) -> tuple[Plan, list[Planted], Raised]:
    return parse(request.param).plan, planted(request.param), raised(request.param)


def test_every_incident_is_found_at_its_time(run: tuple[Plan, list[Planted], Raised]) -> None:
    _, expected, found = run
    watermark = found.clock - SETTINGS.lateness - SETTINGS.disorder
    missed = [item for item in expected if item.time < watermark and len(found.explained_by(item)) != 1]
    assert missed == []


def test_no_stable_rule_fires_without_an_incident(run: tuple[Plan, list[Planted], Raised]) -> None:
    _, expected, found = run
    explained = {id_ for item in expected for id_ in found.explained_by(item)}
    assert [a for a in found.alerts.values() if a["status"] == Status.STABLE and a["id"] not in explained] == []


def test_the_evidence_is_what_was_planted(run: tuple[Plan, list[Planted], Raised]) -> None:
    _, expected, found = run
    for item in expected:
        for id_ in found.explained_by(item):
            assert any(event_id in found.alerts[id_]["evidence"] for _, event_id in item.events)


def test_every_shipped_rule_fires_within_ten_minutes() -> None:
    found = Counter(alert["rule"] for alert in raised(WITHOUT_HISTORY).alerts.values())
    rules = load_rules([shipped()], SETTINGS, run_tests=False).rules
    assert set(found) == {rule.name for rule in rules if rule.alerts}


def test_with_a_history_every_scene_is_known_within_two_and_a_half_minutes() -> None:
    wait = SETTINGS.lateness + SETTINGS.disorder
    assert max(scene.offset + wait for scene in SCENES) <= 155 * SECOND


def test_the_first_alert_to_notify_comes_within_five_seconds() -> None:
    assert min(scene.offset for scene in SCENES) <= 5 * SECOND


def test_each_stable_rule_has_its_scene() -> None:
    rules = load_rules([shipped()], SETTINGS, run_tests=False).rules
    stable = {rule.name for rule in rules if rule.alerts and rule.status is Status.STABLE}
    assert {scene.kind for scene in SCENES} == stable


def test_the_stolen_plates_that_drive_are_on_the_shipped_list() -> None:
    table = load_rules([shipped()], SETTINGS, run_tests=False).lists["stolen_as_plate"]
    current = {row["value"] for row in table.to_pylist() if row["valid_until"] is None}
    assert {stolen(number) for number in range(STOLEN)} == current
    assert len(current) == STOLEN


@pytest.mark.parametrize("world", ["cctv", "sensors", "drones"])
def test_the_other_worlds_plant_what_they_can_show(world: str) -> None:
    address = f"sim://{world}?duration=7m"
    expected, found = planted(address), raised(address)
    assert expected
    watermark = found.clock - SETTINGS.lateness - SETTINGS.disorder
    assert [item for item in expected if item.time < watermark and not found.explained_by(item)] == []
