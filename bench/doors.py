"""Events over HTTP into `citywatch up`, a hundred in each request, while somebody looks at alerts.

The senders, the page's process and the engine share the same cores. A request has to wait for its 202, which says that
its events would survive a power cut; the shipped rules run meanwhile. Three thousand alerts are on the desk before, and
one event in a thousand raises another. Who looks opens the list, which shows the last fifty, then the first of these.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import CITYWATCH, Line, fresh, percentile, rate

BATCH = 100
SENDERS = 16
SECONDS = 20.0
ALERTS = 3_000
"""On the desk before it begins."""
SHOWN = 50
"""Alerts that the list shows."""
_WARM = 3.0
_LOOK_EVERY = 0.25
_RAISE_EVERY = 10
"""Batches, of which the last has an event that raises an alert."""
_PATIENCE = 120.0
_HEADERS = {"Content-Type": "application/cloudevents-batch+json"}


@dataclass
class Sent:
    """Seconds that each request took, and the events that were acknowledged; the first seconds left out.

    `raised` are the alerts that have to come of all events, those of the first seconds too.
    """

    waits: list[float] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0
    raised: int = 0


@dataclass
class Looks:
    """Seconds that pages took: the list of alerts, and one alert."""

    lists: list[float] = field(default_factory=list)
    alerts: list[float] = field(default_factory=list)


def bench(scratch: Path) -> Iterator[Line]:
    """At the promised pace with pages looked at, then as fast as it goes."""
    with _up(fresh(scratch / "doors")) as link:
        port = urlsplit(link).port or 0
        reader = Reader(port, urlsplit(link).path)
        _fill(port, reader)
        with _looking(reader) as looks:
            paced = _send(port, pace=10_000)
        reader.wait_for(ALERTS + paced.raised)
        yield _line("HTTP, 10,000 events/s in batches of 100, until the 202", paced.waits, 0.1)
        yield _line("the list of alerts meanwhile", looks.lists, 0.15)
        yield _line("one alert meanwhile", looks.alerts, 0.15)
        full = _send(port, pace=None)
        reader.close()
    yield Line(
        f"HTTP, batches of 100, {SENDERS} senders, as fast as it goes",
        f"{rate(full.events, full.seconds)}, p99 {percentile(full.waits, 0.99) * 1000:.0f} ms",
        rate(10_000, 1),
        rate(30_000, 1),
        full.events / full.seconds >= 10_000,
    )


def _line(what: str, waits: list[float], floor: float) -> Line:
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    measured = f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
    return Line(what, measured, f"p99 {floor * 1000:.0f} ms", "-", p99 < floor)


def _send(port: int, pace: int | None) -> Sent:
    """All senders for a while; `pace` in events a second, None: each sends again at once."""
    sent, lock, began = Sent(seconds=SECONDS - _WARM), threading.Lock(), time.perf_counter()
    gap = SENDERS * BATCH / pace if pace else 0.0

    def one(sender: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        turn = 0
        while (at := time.perf_counter() - began) < SECONDS:
            due = (turn + sender / SENDERS) * gap
            if at < due:
                time.sleep(due - at)
            raising = int((turn * SENDERS + sender) % _RAISE_EVERY == _RAISE_EVERY - 1)
            body = _batch(f"{began}-{sender}-{turn}", raising)
            started = time.perf_counter()
            _post(connection, body)
            ended = time.perf_counter()
            turn += 1
            with lock:
                sent.raised += raising
                if ended - began > _WARM:
                    sent.waits.append(ended - (began + due if pace else started))
                    sent.events += BATCH
        connection.close()

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(one, range(SENDERS)))
    return sent


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    """Send a batch and wait until all of it is acknowledged."""
    connection.request("POST", "/api/v1/events", body, _HEADERS)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 202 or answer["accepted"] != BATCH:
        raise RuntimeError(f"{response.status}: {answer}")


_NOTE = "x" * 60
_READING = (
    '{"specversion":"1.0","id":"%s-%d","source":"bench","type":"sensor.reading","time":"%s","data":{"device_id":"s%d",'
    '"sensor_kind":"noise","unit":"dB","value":%d.5,"label":"ok","lat":40.7128,"lon":-74.006,"note":"%s"}}'
)
_VIOLATION = (
    '{"specversion":"1.0","id":"%s-%d","source":"drone/%d","type":"drone.violation","time":"%s","data":{"device_id":"d%d",'
    '"device_kind":"drone","needs_human":true,"lat":40.7128,"lon":-74.006,"address":"907 W 91st St","note":"%s"}}'
)
"""A human is needed: one alert for each such event."""


def _batch(name: str, raising: int) -> bytes:
    """Events of about 300 bytes, as sensors send them; the first `raising` of them raise an alert each."""
    now = datetime.now(UTC).isoformat()
    violations = [_VIOLATION % (name, n, n, now, n, _NOTE) for n in range(raising)]
    readings = [_READING % (name, n, now, n, 40 + n % 30, _NOTE) for n in range(raising, BATCH)]
    return f"[{','.join(violations + readings)}]".encode()


def _fill(port: int, reader: Reader) -> None:
    """Have the first alerts on the desk."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(ALERTS // BATCH):
        _post(connection, _batch(f"first-{number}", BATCH))
    connection.close()
    reader.wait_for(ALERTS)


class Reader:
    """Somebody who has signed in, with a connection that stays."""

    def __init__(self, port: int, link: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", link)
        answer = self._connection.getresponse()
        answer.read()
        given = [value for name, value in answer.getheaders() if name.lower() == "set-cookie"]
        self._cookie = "; ".join(value.split(";")[0] for value in given)

    def page(self, path: str) -> str:
        """A page; raises RuntimeError when it is none."""
        self._connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}")
        return text

    def wait_for(self, alerts: int) -> None:
        """Until so many alerts are open, no more and no fewer; raises RuntimeError."""
        end = time.perf_counter() + _PATIENCE
        while (found := self._open()) != alerts:
            if found > alerts or time.perf_counter() > end:
                raise RuntimeError(f"{found} alerts are open, not {alerts}")
            time.sleep(0.2)

    def _open(self) -> int:
        count = re.search(r'id="count-open" class="count">([\d,]+)<', self.page("/"))
        return int(count[1].replace(",", "")) if count else 0

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@contextmanager
def _looking(reader: Reader) -> Iterator[Looks]:
    """Look at the list, and at the alert that is the first in it, again and again."""
    stop, looks = threading.Event(), Looks()

    def look() -> None:
        while not stop.wait(_LOOK_EVERY):
            rows = re.findall(r'<li id="a-([0-9a-f]{64})"', _timed(reader, "/", looks.lists))
            if len(rows) != SHOWN:
                raise RuntimeError(f"the list shows {len(rows)} alerts, not {SHOWN}")
            if rows[0] not in _timed(reader, f"/alerts/{rows[0]}", looks.alerts):
                raise RuntimeError(f"the page of {rows[0]} is about something else")

    with ThreadPoolExecutor(1) as pool:
        looked = pool.submit(look)
        try:
            yield looks
        finally:
            stop.set()
        looked.result()


def _timed(reader: Reader, path: str, took: list[float]) -> str:
    started = time.perf_counter()
    page = reader.page(path)
    took.append(time.perf_counter() - started)
    return page


@contextmanager
def _up(data: Path) -> Iterator[str]:
    """A running citywatch that listens; the first link to sign in with."""
    command: list[str | Path] = [CITYWATCH, "up", "--data", data, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as up:
        try:
            yield _link(up, data)
        finally:
            up.terminate()


def _link(up: subprocess.Popen[str], data: Path) -> str:
    """The link that it says, once its doors are open."""
    assert up.stderr
    found = next((match[0] for line in up.stderr if (match := re.search(r"http://\S+", line))), None)
    if found is None:
        raise RuntimeError("citywatch did not start")
    threading.Thread(target=up.stderr.read, daemon=True).start()
    while not (data / "door.json").exists():
        if up.poll() is not None:
            raise RuntimeError("citywatch has stopped")
        time.sleep(0.1)
    return found
