"""Several processes are one console to those who use it: people, sessions, alerts, what is done, what comes."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka.admin import AdminClient

from tests.cluster.postgresql.test_console import (
    Console,
    Database,
    console,
    database,
    key,
    told,
    until,
)
from tests.cluster.servers import kafka
from tests.cluster.topics import Cluster
from tests.unit.desk.facts import alert_id

__all__ = ["database", "key"]

pytestmark = pytest.mark.cluster

MOST = 500
"""Connections that are tried until each process has one: the system hands them out as it likes."""


CONNECTIONS = 4
"""To the database that keeps people: so many does a process of the console have."""


class Visitor:
    """A person at one process of a console, whose connection stays open."""

    def __init__(self, port: int, cookie: str = "") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.cookie = cookie

    def ask(self, method: str, path: str, **form: str) -> http.client.HTTPResponse:
        headers = {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded"}
        self.connection.request(method, path, urllib.parse.urlencode(form) or None, headers)
        return self.connection.getresponse()

    def page(self, path: str) -> str:
        answer = self.ask("GET", path)
        text = answer.read().decode()
        assert answer.status == 200, text
        return text

    def sign_in(self, link: str) -> str:
        """Use a link; the cookies that a browser would keep."""
        answer = self.ask("GET", urllib.parse.urlsplit(link).path)
        answer.read()
        given = [value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
        self.cookie = "; ".join(given)
        return self.cookie

    def acknowledge(self, alert: str) -> None:
        token = self.page(f"/alerts/{alert}").split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        answer = self.ask("POST", f"/alerts/{alert}/act", action="ack", csrfmiddlewaretoken=token)
        answer.read()
        assert answer.status == 302


class Followed:
    """A page that stays open: what the stream tells it."""

    def __init__(self, visitor: Visitor, path: str = "/stream?after=0") -> None:
        self._answer = visitor.ask("GET", path)
        assert self._answer.status == 200

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.close()

    def begins(self) -> str:
        """The first line."""
        return self._answer.readline().decode().rstrip("\n")

    def hears(self, *words: str) -> None:
        """Read on until a piece of news has all these words; fails after a silence."""
        piece = ""
        while not all(word in piece for word in words):
            piece = ""
            while line := self._answer.readline().decode().rstrip("\n"):
                piece += line


def processes(running: Console) -> list[int]:
    """Those that serve pages."""
    children = Path(f"/proc/{running.process.pid}/task").glob("*/children")
    ids = [int(word) for path in children for word in path.read_text().split()]
    return [found for found in ids if "citywatch.cli.web" in Path(f"/proc/{found}/cmdline").read_text()]


def server_of(visitor: Visitor, among: Sequence[int]) -> int:
    """The process that holds the other end of a connection."""
    here = f":{visitor.connection.sock.getsockname()[1]:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    (socket,) = (f"socket:[{row[9]}]" for row in rows if row[2].endswith(here))
    (found,) = (pid for pid in among if socket in {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()})
    return found


def one_at_each(running: Console, stack: ExitStack) -> list[Visitor]:
    """A visitor at each process of a console; the console itself has but one address."""
    expected, found = processes(running), dict[int, Visitor]()
    for _ in range(MOST):
        visitor = Visitor(running.port)
        visitor.page("/healthz")
        server = server_of(visitor, expected)
        if server in found:
            visitor.connection.close()
            continue
        found[server] = visitor
        stack.callback(visitor.connection.close)
        if len(found) == len(expected):
            break
    assert set(found) == set(expected)
    return list(found.values())


def by_id(message: str | bytes | None) -> str:
    """The key of an alert."""
    return str(json.loads(message or b"")["id"])


def members(cluster: Cluster, group: str) -> list[int]:
    """How many partitions each member of a group reads."""
    admin = AdminClient({"bootstrap.servers": cluster.address})
    described = admin.describe_consumer_groups([group])[group].result(30)
    return [len(member.assignment.topic_partitions) for member in described.members]


def test_what_happens_at_one_process_is_seen_at_all_and_each_alert_is_stored_once(database: Database, key: str) -> None:
    cluster = Cluster(kafka())
    topic = cluster.make(partitions=2)
    source = f"kafka://{cluster.address}/{topic}?group={topic}"
    with ExitStack() as stack:
        one = stack.enter_context(console(database, "--processes", "2", "--from", source, key=key))
        other = stack.enter_context(console(database, "--from", source, key=key))
        until(lambda: members(cluster, topic) == [1, 1], "the consoles share the partitions")
        cluster.send(topic, [told(name) for name in range(101, 121)], key=by_id)
        until(lambda: len(one.alerts()) == len(other.alerts()) == 20, "all alerts are there")

        people = [*one_at_each(one, stack), *one_at_each(other, stack)]
        cookie = people[0].sign_in(database.citywatch("users", "add", "anna", "--url", "http://x").stdout.split()[-1])
        pages = [*one_at_each(one, stack), *one_at_each(other, stack)]
        assert (len(people), len(pages)) == (3, 3)
        for visitor in (*people, *pages):
            visitor.cookie = cookie
        followed = [Followed(page) for page in pages]

        people[0].acknowledge(alert_id(101))
        people[1].acknowledge(alert_id(102))
        cluster.send(topic, [told(121, title="The last of them")], key=by_id)
        for page in followed:
            page.hears(alert_id(101), "acknowledged")
            page.hears(alert_id(102), "acknowledged")
            page.hears(alert_id(121), "The last of them")
        for visitor in people:
            assert "anna" in visitor.page(f"/alerts/{alert_id(101)}")
            assert "The last of them" in visitor.page("/")
        assert database.as_console("SELECT count(*), sum(count) FROM facts") == [(21, 21)]
        assert database.as_console("SELECT count(*) FROM actions WHERE action = 'ack'") == [(2,)]

        token = people[0].page("/").split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        people[0].ask("POST", "/sign-out", csrfmiddlewaretoken=token).read()
        left = [visitor.ask("GET", "/") for visitor in people]
        assert [answer.status for answer in left] == [302, 302, 302], "who has signed out at one is out at all"


@pytest.fixture(scope="module")
def visit(database: Database, key: str) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of one console of one process, who are signed in."""
    link = database.citywatch("users", "add", "ben", "--url", "http://x").stdout.split()[-1]
    with ExitStack() as stack:
        running = stack.enter_context(console(database, key=key))

        def visitor(cookie: str | None = None) -> Visitor:
            made = Visitor(running.port, signed_in if cookie is None else cookie)
            stack.callback(made.connection.close)
            return made

        signed_in = ""
        signed_in = visitor().sign_in(link)
        yield visitor


def test_pages_are_answered_while_many_streams_are_open_and_many_keys_are_wrong(visit: Callable[..., Visitor]) -> None:
    with ExitStack() as stack:
        for path in ("/stream?after=0", "/api/v1/alerts/stream") * CONNECTIONS:
            assert stack.enter_context(Followed(visit(), path)).begins() == "retry: 1000"
        for _ in range(2 * CONNECTIONS):
            stranger = visit("").connection
            stranger.request("POST", "/api/v1/events", b"{}", {"Authorization": "Bearer no"})
            answer = stranger.getresponse()
            assert (answer.status, b"No engine" in answer.read()) == (503, True)
        assert "Sign out" in visit().page("/")


def test_pages_are_answered_at_once_when_the_database_has_cut_all_connections(
    database: Database, visit: Callable[..., Visitor]
) -> None:
    assert "Sign out" in visit().page("/")
    cut = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'citywatch_console'"
    database.server.psql(cut)
    for _ in range(2 * CONNECTIONS):
        assert "Sign out" in visit().page("/")
