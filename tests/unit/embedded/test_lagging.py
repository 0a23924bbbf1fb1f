"""A log that is read more slowly than it is written is told of: once, and again when it falls behind again."""

from __future__ import annotations

from typing import Any

from citywatch.engine.lagging import LONG, Lagging
from citywatch.engine.own import OWN
from citywatch.settings import MINUTE, SECOND

NAME = "kafka://broker/citywatch.events"


def looks(lagging: Lagging, begin: int, end: int, *, waiting: int, late: int) -> list[dict[str, Any]]:
    """What is told from one second to another, while so many records wait and the clock is so far (s) behind."""
    found = []
    for second in range(begin, end):
        now = second * SECOND
        found += lagging.look([(NAME, waiting), ("mqtt://quiet", 0)], now - late * SECOND, now).to_pylist()
    return found


def test_a_log_that_is_behind_for_more_than_a_minute_is_told_of_once() -> None:
    (alert,) = looks(Lagging(), 1000, 1600, waiting=1_200, late=90)
    assert (alert["rule"], alert["status"], alert["silent"]) == ("source_lag", "stable", False)
    assert alert["rule"] in OWN, "routes can name it"
    assert alert["reason"] == f"1,200 records of {NAME} wait, and alerts come 90 s late"
    assert alert["first_seen"].timestamp() == 1000 + LONG // SECOND + 1
    assert NAME in alert["group"]


def test_what_is_under_way_or_soon_made_up_for_is_told_to_nobody() -> None:
    lagging = Lagging()
    assert looks(lagging, 0, 300, waiting=50, late=2) == []
    assert looks(lagging, 300, 300 + LONG // SECOND, waiting=500_000, late=3600) == []
    assert looks(lagging, 400, 500, waiting=0, late=0) == []
    assert looks(lagging, 500, 700, waiting=0, late=3600) == [], "nothing of it waits"


def test_a_log_that_falls_behind_again_is_another_alert() -> None:
    lagging = Lagging()
    first = looks(lagging, 0, 200, waiting=9, late=2 * MINUTE // SECOND)
    between = looks(lagging, 200, 210, waiting=0, late=0)
    second = looks(lagging, 210, 400, waiting=9, late=2 * MINUTE // SECOND)
    assert between == []
    assert len({alert["id"] for alert in first + second}) == 2 == len(first) + len(second)
