"""Deliveries beside `up`: routes that are edited while it runs, and a look at whether the engine itself is well."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from citywatch.cli.log import say
from citywatch.errors import CitywatchError
from citywatch.notify.deliverer import Deliverer
from citywatch.notify.outbox import City
from citywatch.notify.outbox import Host as Ground
from citywatch.notify.route import Routes
from citywatch.notify.routes import FILE, load_routes
from citywatch.settings import DAY, MINUTE, SECOND
from citywatch.stores.desk import Desk
from citywatch.wording import iso

if TYPE_CHECKING:
    from citywatch.cli.hosting import Host

LOOK = 1.0
"""Seconds between two looks at the file of routes and at the engine."""

STALLED = MINUTE
"""An engine whose clock has not moved for so long stands still."""


REMEMBERED = 30 * DAY
"""So long the desk knows what became of a message."""

FORGET_EVERY = 3600.0


def city(hosted: Host) -> City:
    """What deliveries know of the city: its zone, and the rules and zones that are in force when they ask."""
    return City(
        zone=hosted.settings.zone,
        live=hosted.settings.live,
        zones=lambda alert: zones_of(hosted, alert),
        precinct=lambda alert: hosted.gazetteer.precinct(alert["lat"], alert["lon"]),
        tags=lambda rule: next((found.tags for found in hosted.ruleset.rules if found.name == rule), ()),
        runbook=lambda rule: next((found.runbook for found in hosted.ruleset.rules if found.name == rule), ""),
    )


def zones_of(hosted: Host, alert: Mapping[str, Any]) -> Sequence[str]:
    """Names of the zones that an alert lies in."""
    from citywatch.rules.zones import zones_at

    return zones_at(hosted.ruleset.zones, alert["lat"], alert["lon"]) or ()


def doubts(hosted: Host, routes: Routes) -> list[str]:
    """What routes ask for that no rule or zone has, as sentences."""
    from citywatch.engine.own import OWN

    rules = hosted.ruleset.rules
    tags = {tag for rule in rules for tag in rule.tags}
    known = [*(rule.name for rule in rules), *OWN]
    return list(routes.doubts(rules=known, zones=list(hosted.ruleset.zones), tags=sorted(tags)))


class Pulse:
    """Whether the engine of this process is well: it says how it stands, its clock moves, and its rules keep up."""

    def __init__(self) -> None:
        self.why: str | None = "it has not begun to listen"
        self.stalled: tuple[int, str] | None = None
        """(clock, in words why) while the engine stands still."""
        self._moved: dict[str, tuple[int, int]] = {}

    def look(self, status: Mapping[str, Any], now: int) -> None:
        """Judge by what the engine last said of itself (key `engine` of the desk's status)."""
        engine = status.get("engine") or {}
        if engine.get("pid") != os.getpid() or not engine.get("clock"):
            return
        still = [
            f"{words} for {(now - since) // SECOND} s"
            for words, since in (
                ("the clock has not moved", self._since("clock", engine["clock"], now)),
                ("the rules have seen no event", self._waiting(engine, now)),
            )
            if now - since > STALLED
        ]
        self.why = "; ".join(still) or None
        self.stalled = (engine["clock"], self.why) if self.why else None

    def _waiting(self, engine: Mapping[str, Any], now: int) -> int:
        """Since when the rules stand still although events wait for them."""
        since = self._since("evaluated", engine["evaluated"], now)
        return since if engine["evaluated"] < engine["events"] else now

    def _since(self, name: str, value: int, now: int) -> int:
        """Since when a number is what it is."""
        before, since = self._moved.get(name, (None, now))
        self._moved[name] = (value, since if before == value else now)
        return self._moved[name][1]


class Deliveries:
    """Delivers alerts in the background while it is entered. Raises RouteErrors when the routes do not load."""

    def __init__(self, hosted: Host) -> None:
        self._hosted = hosted
        self._data = hosted.directory.path
        self._pulse = Pulse()
        self._edited = _edited(self._data)
        routes = load_routes(self._data)
        self._say_doubts(routes)
        ground = Ground(outbox=self._desk, say=say, pulse=self._unwell)
        self._deliverer = Deliverer(routes, city(hosted), ground)
        self._forgot = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routes", daemon=True)

    def __enter__(self) -> Self:
        self._deliverer.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if not self._deliverer.stop():
            say("some deliveries are not through: they are sent when it runs next")
        self._thread.join()

    def _unwell(self) -> str | None:
        """Why heartbeats are to stay away; None: all is well."""
        if self._hosted.directory.free()[0] <= 0:
            return "the disk is full, and nothing is accepted"
        return self._pulse.why

    def _desk(self) -> Desk:
        return Desk(self._hosted.directory.desk, live=self._hosted.settings.live)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._desk() as desk:
                    while not self._stop.wait(LOOK):
                        self._follow_edits()
                        self._watch(desk)
                        self._forget(desk)
            except Exception as error:  # whatever it is, it must not end the watch over the engine in silence
                say(f"deliveries: {error}")
                self._stop.wait(LOOK)

    def _follow_edits(self) -> None:
        if (now := _edited(self._data)) == self._edited:
            return
        self._edited = now
        try:
            routes = load_routes(self._data)
        except CitywatchError as error:
            say(f"the edited routes do not load, those before stay: {error}")
            return
        self._say_doubts(routes)
        self._deliverer.replace(routes)
        say(f"routes loaded again: {len(routes.routes)} to {len(routes.targets)} receivers")

    def _watch(self, desk: Desk) -> None:
        """Raise an alert when the engine stands still: it cannot say so itself."""
        now = time.time_ns() // 1000
        self._pulse.look(desk.status(), now)
        if self._pulse.stalled is None:
            return
        from citywatch.engine.own import stalled_facts

        clock, why = self._pulse.stalled
        if desk.status().get("stalled") != clock:
            desk.put_facts(stalled_facts(clock, now, f"{why}; it stands at {iso(clock)}"))
            desk.set_status({"stalled": clock})

    def _forget(self, desk: Desk) -> None:
        """What was told long ago leaves the desk, once an hour."""
        if time.monotonic() - self._forgot > FORGET_EVERY:
            desk.forget_deliveries(time.time_ns() // 1000 - REMEMBERED)
            self._forgot = time.monotonic()

    def _say_doubts(self, routes: Routes) -> None:
        for doubt in doubts(self._hosted, routes):
            say(doubt)


def _edited(data: Path) -> tuple[int, int] | None:
    try:
        status = (data / FILE).stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
