"""A data directory from which alerts are delivered, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from citywatch.notify.deliverer import Deliverer
from citywatch.notify.lane import Lane
from citywatch.notify.outbox import City, Host
from citywatch.notify.pace import Patience
from citywatch.notify.route import Routes
from citywatch.notify.routes import load_routes
from citywatch.settings import DAY
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.unit.desk.facts import alert_id, fact, table
from tests.unit.notify.receivers import LOCAL, Web

HASTY = Patience(first=20_000, most=100_000, refused=50_000)

CITY = City(
    zone="America/New_York",
    live=DAY,
    zones=lambda alert: ["school"],
    precinct=lambda alert: 14,
    tags=lambda rule: ["plates"],
    runbook=lambda rule: "Look twice.",
)


@dataclass
class Here:
    """A data directory with a desk and routes."""

    data: Path
    pulse: Callable[[], str | None] = lambda: None
    said: list[str] = field(default_factory=list)
    now: Callable[[], int] = now_us
    patience: Patience = HASTY

    def desk(self) -> Desk:
        return Desk(self.data / "desk.sqlite")

    def routes(self, text: str) -> Routes:
        (self.data / "routes.yaml").write_text(text, "utf-8")
        return load_routes(self.data)

    def host(self) -> Host:
        return Host(self.desk, self.said.append, self.pulse, self.now, self.patience)

    def raised(self, *names: int | str, **told: Any) -> None:
        with self.desk() as desk:
            desk.put_facts(table(fact(name, **{"first_seen": self.now(), **told}) for name in names), now=self.now())

    def standing(self, target: str = "duty") -> Any:
        with self.desk() as desk:
            return next((found for found in desk.standings(now=self.now()) if found.target == target), None)

    @contextmanager
    def delivering(self, routes: str) -> Iterator[Deliverer]:
        deliverer = Deliverer(self.routes(routes), CITY, self.host())
        deliverer.start()
        try:
            yield deliverer
        finally:
            deliverer.stop(within=10)

    def lane(self, routes: str, target: str = "duty") -> Lane:
        found = self.routes(routes)
        return Lane(found.targets[target], lambda: found, CITY, self.host())


def hooks(*, hasty: str = "", **servers: Web | int) -> str:
    """Webhooks of these names to which everything goes, by one route each; that named `hasty` waits for no answer."""
    ports = {name: server if isinstance(server, int) else server.port for name, server in servers.items()}
    notifiers = ""
    for name, port in ports.items():
        timeout = "300ms" if name == hasty else "25s"
        url = f"http://127.0.0.1:{port}/hook"
        notifiers += f'  {name}: {{type: webhook, url: "{url}", allow: {LOCAL}, timeout: {timeout}}}\n'
    return f"notifiers:\n{notifiers}routes:\n" + "".join(f"  - {{name: to-{name}, to: {name}}}\n" for name in ports)


def ids(*names: int) -> list[str]:
    return sorted(alert_id(name) for name in names)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.us = now_us()

    def __call__(self) -> int:
        return self.us


def planned(here: Here, routes: str) -> None:
    """Decide who is told, as the deliverer does, without starting a thread."""
    deliverer = Deliverer(here.routes(routes), CITY, here.host())
    with here.desk() as desk:
        deliverer._plan(desk)


def drained(lane: Lane, here: Here) -> None:
    """Let a lane send all that it may send at this moment."""
    with here.desk() as desk:
        while lane.turn(desk) == 0.0:
            pass
