"""Proposals follow the log: what is accepted is taken in once, from segments and from compacted files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from citywatch.settings import HOUR, Settings
from citywatch.stores.compaction import Compactor
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.log import Counts, Footer, Log
from citywatch.stores.violations import Following, follow

from .events import START, batch


class City:
    """A log, and a desk beside it."""

    def __init__(self, directory: Path) -> None:
        self.data = DataDirectory(directory)
        self.data.prepare(Settings())
        self.desk = Desk(self.data.desk)
        self._next = 1

    def happens(self, *events: dict[str, Any]) -> None:
        """One segment of these events."""
        names = sorted({name for event in events for name in event} - {"at"})
        columns = {name: [event.get(name) for event in events] for name in names}
        times = [START + event.get("at", 0) * 60_000_000 for event in events]
        Log(self.data.log).append(batch(times, self._next, **columns), Footer(START, Counts()))
        self._next += len(events)

    def follow(self) -> int:
        return follow(self.data, self.desk, within=HOUR)

    def plates(self) -> list[tuple[str, int]]:
        return sorted((proposal["plate"], proposal["violation_code"]) for proposal in self.desk.proposals())


@pytest.fixture
def city(tmp_path: Path) -> Any:
    made = City(tmp_path)
    yield made
    made.desk.close()


def violation(**fields: Any) -> dict[str, Any]:
    return {"type": "drone.violation", "plate": "K1", "violation_code": 46, **fields}


def test_violations_with_plate_and_code_become_proposals(city: City) -> None:
    city.happens(
        violation(lat=40.7, lon=-73.9, image_id="i1", precinct=14),
        violation(plate=None),
        violation(plate="K2", violation_code=0),
        violation(plate="K3", violation_code=None),
        violation(plate="K4", needs_human=True),
        {"type": "anpr.read", "plate": "K5", "violation_code": 46},
        violation(plate="K6", needs_human=False),
    )
    assert city.follow() == 7
    assert city.plates() == [("K1", 46), ("K6", 46)]
    first = next(proposal for proposal in city.desk.proposals() if proposal["plate"] == "K1")
    assert (first["lat"], first["lon"], first["image_id"], first["precinct"]) == (40.7, -73.9, "i1", 14)


def test_a_correction_in_the_log_counts(city: City) -> None:
    city.happens(violation(id="a", needs_human=True, violation_code=None))
    city.follow()
    assert city.plates() == []
    fix = {"type": "violation.corrected", "id": "c", "corrects_source": "test", "corrects_id": "a"}
    city.happens({**fix, "violation_code": 38})
    city.follow()
    assert city.plates() == [("K1", 38)]


def test_only_what_is_new_is_looked_at(city: City) -> None:
    city.happens(violation(id="a"))
    assert (city.follow(), city.follow()) == (1, 0)
    city.happens({"type": "sensor.reading"}, violation(id="b", plate="K2"))
    assert city.follow() == 2
    assert city.plates() == [("K1", 46), ("K2", 46)]


def test_what_had_no_violation_is_not_read_again_and_its_file_hardly_once(
    city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = Following(city.data, city.desk, within=HOUR)
    opened: list[Path] = []
    dataset = ds.dataset

    def noted(path: Path, **how: Any) -> ds.Dataset:
        opened.append(path)
        return dataset(path, **how)

    monkeypatch.setattr(ds, "dataset", noted)
    city.happens({"type": "anpr.read"}, {"type": "drone.position"})
    city.happens({"type": "sensor.reading"})
    assert (following.once(), following.once(), opened) == (3, 0, [])
    city.happens({"type": "anpr.read"}, {"type": "violation.image"})
    assert (following.once(), len(opened)) == (2, 1)
    city.happens(violation(id="a"))
    assert (following.once(), len(opened)) == (1, 2)
    assert city.plates() == [("K1", 46)]


def test_what_is_compacted_is_read_too(city: City) -> None:
    city.happens(violation(id="a"), violation(id="b", plate="K2", at=3 * 24 * 60))
    Compactor(city.data).publish(2)
    city.happens(violation(id="c", plate="K3", at=4 * 24 * 60))
    city.follow()
    assert [plate for plate, _ in city.plates()] == ["K1", "K2", "K3"]


def test_following_again_from_the_beginning_changes_nothing(city: City) -> None:
    city.happens(violation(id="a"), violation(id="b", at=30))
    city.follow()
    before = city.desk.proposals()
    city.desk.move_cursor("violations", 0)
    assert city.follow() == 2
    assert city.desk.proposals() == before
