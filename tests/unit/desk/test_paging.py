"""The list of alerts in pages: the same alerts as in one piece, whichever way they are looked for."""

from __future__ import annotations

import pytest

from citywatch.alert import Action
from citywatch.stores.desk import Desk, reading
from citywatch.triage import Choice, Place, Wish
from citywatch.wording import iso

from .facts import NOW, alert_id, fact, table

CHOICES = [
    Choice(),
    Choice(rules=["rare"]),
    Choice(rules=["rare", "cloned_plate"], levels=["high"]),
    Choice(levels=["low"]),
    Choice(states=["open"], rules=["cloned_plate"]),
    Choice(states=["acknowledged"]),
    Choice(since=NOW + 3, until=NOW + 9),
]


def pages(desk: Desk, choice: Choice, limit: int) -> list[str]:
    seen: list[str] = []
    after = None
    while found := desk.page(choice, after=after, limit=limit):
        seen += [listed.alert["id"] for listed in found]
        times = {iso(NOW + number): NOW + number for number in range(20)}
        after = Place.from_text(str(Place(times[found[-1].alert["first_seen"]], seen[-1])))
    return seen


@pytest.mark.parametrize("few", [0, 20_000])
@pytest.mark.parametrize("choice", CHOICES)
def test_pages_together_are_the_list(desk: Desk, choice: Choice, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_FEW", few)
    told = [fact(name, first_seen=NOW + name // 4) for name in range(50)]
    told += [fact(name, rule="rare", first_seen=NOW + name % 7) for name in range(50, 55)]
    desk.put_facts(table(told), now=NOW)
    for name in (3, 4, 52):
        desk.act(alert_id(name), Wish(Action.ACK, by="bo", channel="cli"), now=NOW)
    assert pages(desk, choice, 3) == [alert["id"] for alert in desk.alerts(choice)]
