"""One time that something is played: the events of it, and the alerts that are to come of them."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from citywatch.settings import SECOND
from citywatch.sources.simulator import geography
from citywatch.sources.simulator.local import by_day
from citywatch.sources.simulator.pictures import HARD_SHARE, Shot, picture
from citywatch.sources.simulator.stream import Planted
from citywatch.sources.simulator.traffic import BODIES, COLORS, MAKES, READERS

_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HISTORY_MARK = "h"
"""At the beginning of `run` for what happens before the start."""
Named = tuple[str, str]
"""(source, id) of an event."""


@dataclass
class Occurrence:
    """It begins at `begin` (µs, whole milliseconds); all seconds below count from there.

    Plates, persons and devices in it are its `own`, so that nothing else explains its alerts. `run` names seed and
    phase; `chance` is drawn from them, and from kind and turn.
    """

    kind: str
    begin: int
    turn: int
    run: str
    pictures: bool = True
    events: list[tuple[int, str]] = field(default_factory=list)
    """(time, body) of each, in the order in which they were added."""
    planted: list[Planted] = field(default_factory=list)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.run}/{self.kind}/{self.turn}")  # noqa: S311 - to be repeatable

    @property
    def nth(self) -> int:
        """Its turn among all of its kind, with a good distance from those of another phase."""
        return self.turn + (30 if self.run.startswith(HISTORY_MARK) else 0)

    @property
    def end(self) -> int:
        """When the last of its events has arrived, µs."""
        return max((time for time, _ in self.events), default=self.begin) + SECOND

    def own(self, beginning: str) -> str:
        """A name that nothing else has: a beginning and six upper case letters and digits."""
        return beginning + "".join(self.chance.choices(_SIGNS, k=6))

    def between(self, low: float, high: float) -> float:
        """Any number in between, to the millisecond."""
        return round(self.chance.uniform(low, high), 3)

    def times(self, count: int, low: float, high: float, start: float = 0) -> list[float]:
        """Some seconds in a row, the neighbours `low` to `high` apart."""
        times = [start]
        while len(times) < count:
            times.append(times[-1] + self.between(low, high))
        return times

    def place(self) -> int:
        """Any crossing but those with a school, a station, or inside of a restricted site."""
        return self.chance.choice(_ORDINARY_PLACES)

    def reader(self) -> int:
        """Any plate reader but those at schools."""
        return self.chance.choice(_ORDINARY_READERS)

    def school_reader(self) -> int:
        """A plate reader at a school."""
        return self.chance.choice(SCHOOL_READERS)

    def expect(
        self, group: Mapping[str, Any], *events: Named, rule: str | None = None, until: float | None = None
    ) -> None:
        """An alert is to come, of the rule that has the kind's name unless another is named.

        Its matches lie between the first of `events` (all when none is named) and the last, or `until`.
        """
        known = {self._named(body): (time, body) for time, body in self.events}
        chosen = {name: known[name] for name in events} if events else known
        times = [time for time, _ in chosen.values()]
        end = max(times) if until is None else self.begin + round(until * SECOND)
        where = json.loads(chosen[next(iter(chosen))][1] + "}")["data"]
        self.planted.append(
            Planted(self.kind, rule or self.kind, group, min(times), end, where["lat"], where["lon"], tuple(chosen))
        )

    def _name(self) -> str:
        """The id of the next event."""
        return f"{self.run}-{self.kind}-{self.turn}-{len(self.events)}"

    @staticmethod
    def _named(body: str) -> Named:
        event = json.loads(body + "}")
        return event["source"], event["id"]

    def add(self, seconds: float, type_: str, source: str, subject: str, data: Mapping[str, Any]) -> Named:
        """Let an event happen; returns its name."""
        time = self.begin + round(seconds * 1000) * 1000
        id_ = self._name()
        attributes = {"specversion": "1.0", "id": id_, "source": source, "type": type_, "subject": subject}
        body = json.dumps({**attributes, "time": rfc3339(time), "data": data}, separators=(",", ":"))
        self.events.append((time, body[:-1]))
        return source, id_

    def vehicle(self) -> dict[str, Any]:
        """How a vehicle looks."""
        choose = self.chance.choice
        looks = {"vehicle_make": choose(MAKES), "vehicle_body": choose(BODIES), "vehicle_color": choose(COLORS)}
        return {"plate_state": "NY", **looks}

    def sure(self, low: float = 0.9, high: float = 0.995) -> float:
        """How sure a device is of what it saw."""
        return self.between(low, high)

    def read(self, seconds: float, plate: str, reader: int, **more: Any) -> Named:
        """A plate reader sees a plate."""
        name = f"anpr-{reader:04d}"
        place = geography.position(geography.anpr_place(reader))
        data = {"plate": plate, "plate_confidence": self.sure(), **more, **_device(name, "camera"), **place}
        return self.add(seconds, "anpr.read", f"camera/{name}", plate, data)

    def ticket(self, seconds: float, plate: str, place: int, code: int) -> Named:
        """An agent writes a ticket."""
        agent = f"agent-9{place:04d}"
        number = self.own("9")
        what = {"summons_number": number, "plate": plate, "plate_state": "NY", "violation_code": code}
        data = {**what, "issuer_agency": "T", **_device(agent, "desk"), **geography.position(place)}
        return self.add(seconds, "ticket.issued", f"agent/9{place:04d}", number, data)

    def report(self, seconds: float, person: str, behaviors: Sequence[str], place: int) -> Named:
        """A camera reports what a person does."""
        camera = f"cctv-9{place:04d}"
        data = {"person_id": person, "behaviors": behaviors, **_device(camera, "camera"), **geography.position(place)}
        return self.add(seconds, "person.report", f"camera/{camera}", person, data)

    def detection(self, seconds: float, label: str, camera: str, place: int, **more: Any) -> Named:
        """A camera detects something."""
        data = {"label": label, "confidence": self.sure(), "severity": 2, **more, **_device(camera, "camera")}
        return self.add(seconds, "camera.event", f"camera/{camera}", camera, {**data, **geography.position(place)})

    def status(self, seconds: float, device: str, kind: str, place: int, **more: Any) -> Named:
        """A device says how it is."""
        source = f"{kind}/{device}"
        data = {"label": "ok", **more, **_device(device, kind), **geography.position(place)}
        return self.add(seconds, "device.status", source, device, data)

    def reading(self, seconds: float, kind: str, value: float, place: int, **more: Any) -> Named:
        """A sensor of its own measures something."""
        sensor = more.pop("sensor", f"{kind}-9{place:04d}")
        unit = {"temperature": "C", "crowd": "persons"}.get(kind, "dB(A)")
        data = {"sensor_kind": kind, "unit": unit, "value": value, **more, **_device(sensor, "sensor")}
        return self.add(seconds, "sensor.reading", f"sensor/{sensor}", sensor, {**data, **geography.position(place)})

    def violation(self, seconds: float, plate: str, place: int, image_after: float | None = 0.5, **more: Any) -> Named:
        """A drone sees a violation and sends the image somewhat later, or never."""
        looks = self.vehicle()
        taken = self.begin + round(seconds * SECOND)
        image_id, content = self._image(plate, looks, place, taken)
        where = {**_device(f"9{place:04d}", "drone"), **geography.position(place)}
        source = f"drone/9{place:04d}"
        if image_after is not None:
            shown = {"image_id": image_id, **content, **where}
            self.add(seconds + image_after, "violation.image", source, image_id, shown)
        data = {**more, "plate": plate, "image_id": image_id, **looks, **where}
        return self.add(seconds, "drone.violation", source, plate, data)

    def _image(self, plate: str, looks: Mapping[str, Any], place: int, taken: int) -> tuple[str, dict[str, str]]:
        """The id of an image, and the member that holds its content if pictures are wanted."""
        if not self.pictures:
            return self._name(), {}
        street, light = geography.words(place)["street"], bool(by_day(np.array([taken]))[0])
        hard = self.chance.random() < HARD_SHARE
        seed = self.chance.getrandbits(32)
        shot = Shot(plate, street, looks["vehicle_color"], looks["vehicle_body"], light, hard, seed)
        taken_picture = picture(shot)
        return taken_picture.image_id, {"image": taken_picture.text}


def _device(name: str, kind: str) -> dict[str, str]:
    return {"device_id": name, "device_kind": kind}


def rfc3339(time: int) -> str:
    """µs since 1970 as text, to the millisecond."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=time)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


_SPECIAL = {*geography.SCHOOLS, *geography.TRANSIT, *geography.RESTRICTED}
_ORDINARY_PLACES = tuple(place for place in range(geography.CROSSINGS) if place not in _SPECIAL)
SCHOOL_READERS = tuple(reader for reader in range(READERS) if geography.anpr_place(reader) in geography.SCHOOLS)
_ORDINARY_READERS = tuple(reader for reader in range(READERS) if reader not in SCHOOL_READERS)
