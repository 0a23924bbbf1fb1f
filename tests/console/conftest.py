from __future__ import annotations

import http.client
import os
import shutil
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from citywatch.cli.web import Served, Web, listen
from citywatch.console import site
from citywatch.console.port import RuleNotes, Site
from citywatch.settings import DAY
from citywatch.stores.desk import Desk
from citywatch.stores.desk.database import now_us
from tests.unit.desk.facts import event, fact, table

if TYPE_CHECKING:
    from django.test import Client
    from playwright.sync_api import Browser

NOTES = RuleNotes(
    description="One vehicle cannot be in two places.",
    runbook="Compare both images before any stop.\nThen call the precinct.",
    falsepositives=("trailers", "misread plates"),
    close_reasons=("misread plate", "trailer"),
)


@pytest.fixture(scope="session")
def first_site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Django is set up once a process, on a directory that lives as long."""
    data = tmp_path_factory.mktemp("console")
    served = Site(data=data, desk=lambda: Desk(data / "desk.sqlite"), port=8000, rules={"cloned_plate": NOTES})
    site.install(served)
    return served


@pytest.fixture
def desk(first_site: Site, tmp_path: Path) -> Iterator[Desk]:
    """The desk that the pages of this test show."""
    file = tmp_path / "desk.sqlite"
    site.install(Site(data=first_site.data, desk=lambda: Desk(file), port=8000, rules=first_site.rules))
    with Desk(file) as opened:
        yield opened


def visitor(*, csrf: bool = False) -> Client:
    from django.test import Client

    return Client(headers={"host": "127.0.0.1:8000"}, enforce_csrf_checks=csrf)


@pytest.fixture
def anna(desk: Desk) -> Client:
    """Signed in by her link, with all rights."""
    client = visitor()
    client.get(urllib.parse.urlsplit(site.link("anna")).path)
    return client


def key(*scopes: str) -> dict[str, str]:
    """The header with a new key."""
    from citywatch.console.models import make_key

    return {"Authorization": f"Bearer {make_key(uuid.uuid4().hex, scopes, by='anna')}"}


@dataclass
class Running:
    """A console in its own process, as `up` starts it."""

    desk: Path
    port: int
    web: Web = field(init=False)
    links: list[str] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tell(self, link: str) -> None:
        self.links.append(link)
        self.told.set()

    def link(self) -> str:
        assert self.told.wait(60), "the page's process gave no link"
        return self.links[-1]

    def cookie(self) -> str:
        """Sign in; what a browser would send from then on."""
        self.told.clear()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", urllib.parse.urlsplit(self.links[-1]).path)
        response = connection.getresponse()
        given = [value.split(";")[0] for name, value in response.getheaders() if name.lower() == "set-cookie"]
        connection.close()
        self.link()
        return "; ".join(given)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which the console has its tables already: making them takes seconds."""
    data = tmp_path_factory.mktemp("begun")
    with serving(data):
        return data


@pytest.fixture
def console(begun: Path, tmp_path: Path) -> Iterator[Running]:
    """Thirty alerts, for one test alone."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("desk.sqlite*"))
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def still_console(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same for tests that only look."""
    data = tmp_path_factory.mktemp("still") / "data"
    shutil.copytree(begun, data, ignore=shutil.ignore_patterns("desk.sqlite*"))
    with serving(data) as running:
        yield running


@contextmanager
def serving(data: Path, **more: Any) -> Iterator[Running]:
    """A console with thirty alerts on that directory."""
    listener = listen("127.0.0.1", 0)
    running = Running(data / "desk.sqlite", listener.getsockname()[1])
    _thirty_alerts(running.desk)
    served = Served(
        data=str(data),
        host="127.0.0.1",
        port=running.port,
        zone="America/New_York",
        live=DAY,
        person="anna",
        rules={"cloned_plate": {"runbook": NOTES.runbook, "falsepositives": list(NOTES.falsepositives)}},
        zones={"school": [[(-73.99, 40.71), (-73.97, 40.71), (-73.97, 40.73), (-73.99, 40.73)]]},
        **more,
    )
    running.web = Web(served, listener, running.tell)
    listener.close()
    try:
        running.link()
        yield running
    finally:
        running.web.stop()


def _thirty_alerts(file: Path) -> None:
    now = now_us()
    evidence = [
        event("r1", kind="anpr.read", plate="K1234", lat=40.70, lon=-74.0, address="907 W 91st St"),
        event("r2", kind="anpr.read", plate="K1234", lat=40.74, lon=-73.95),
    ]
    facts = [fact(name, first_seen=now - (30 - name) * 60_000_000, evidence=evidence) for name in range(30)]
    violation = [event("v1", plate="K9", needs_human=True, lat=40.7, lon=-74.0)]
    facts[7] |= fact(7, rule="needs_human", level="medium", title="A human is needed", evidence=violation)
    with Desk(file) as desk:
        desk.put_facts(table(facts), now=now)


FLAGS = (
    "--headless --no-sandbox --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one module: while Playwright runs, Django takes this thread for an event loop and refuses its database."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CITYWATCH_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium: `make browser` installs it on Debian, or name one in CITYWATCH_CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()
