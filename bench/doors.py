"""Events over HTTP into `citywatch up`, a hundred in each request, while somebody looks at the list of alerts.

The senders, the page's process and the engine share the same cores. A request has to wait for its 202, which says that
its events would survive a power cut; the shipped rules run meanwhile.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import CITYWATCH, Line, fresh, percentile, rate

BATCH = 100
SENDERS = 16
SECONDS = 20.0
_WARM = 3.0
_LOOK_EVERY = 0.25
_HEADERS = {"Content-Type": "application/cloudevents-batch+json"}


@dataclass
class Sent:
    """Seconds that each request took, and the events that were acknowledged; the first seconds left out."""

    waits: list[float] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0


def bench(scratch: Path) -> Iterator[Line]:
    """At the promised pace with a page looked at, then as fast as it goes."""
    with _up(fresh(scratch / "doors")) as link:
        port = urlsplit(link).port or 0
        looks: list[float] = []
        with _looking(port, urlsplit(link).path, looks):
            paced = _send(port, pace=10_000)
        yield _line("HTTP, 10,000 events/s in batches of 100, until the 202", paced.waits, 0.1)
        yield _line("the list of alerts meanwhile", looks, 0.15)
        full = _send(port, pace=None)
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
            body = _batch(f"{began}-{sender}-{turn}")
            started = time.perf_counter()
            connection.request("POST", "/api/v1/events", body, _HEADERS)
            response = connection.getresponse()
            answer = json.loads(response.read())
            ended = time.perf_counter()
            turn += 1
            if response.status != 202 or answer["accepted"] != BATCH:
                raise RuntimeError(f"{response.status}: {answer}")
            if ended - began > _WARM:
                with lock:
                    sent.waits.append(ended - (began + due if pace else started))
                    sent.events += BATCH
        connection.close()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent


def _batch(name: str) -> bytes:
    """Events of about 300 bytes, as sensors send them."""
    now = datetime.now(UTC).isoformat()
    template = (
        '{"specversion":"1.0","id":"%s-%d","source":"bench","type":"sensor.reading","time":"%s","data":{"device_id":"s%d",'
        '"sensor_kind":"noise","unit":"dB","value":%d.5,"label":"ok","lat":40.7128,"lon":-74.006,"note":"%s"}}'
    )
    note = "x" * 60
    return f"[{','.join(template % (name, n, now, n, 40 + n % 30, note) for n in range(BATCH))}]".encode()


@contextmanager
def _looking(port: int, link: str, looks: list[float]) -> Iterator[None]:
    """Somebody who signs in and opens the list again and again; seconds that each took are added to `looks`."""
    stop = threading.Event()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", link)
    response = connection.getresponse()
    response.read()
    cookie = "; ".join(value.split(";")[0] for name, value in response.getheaders() if name.lower() == "set-cookie")

    def look() -> None:
        while not stop.wait(_LOOK_EVERY):
            started = time.perf_counter()
            connection.request("GET", "/", headers={"Cookie": cookie})
            page = connection.getresponse()
            page.read()
            if page.status != 200:
                raise RuntimeError(f"the list of alerts answered {page.status}")
            looks.append(time.perf_counter() - started)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        connection.close()


@contextmanager
def _up(data: Path) -> Iterator[str]:
    """A running citywatch that listens; the first link to sign in with."""
    command: list[str | Path] = [CITYWATCH, "up", "--data", data, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as up:
        assert up.stderr
        found = next((match[0] for line in up.stderr if (match := re.search(r"http://\S+", line))), None)
        if found is None:
            raise RuntimeError("citywatch did not start")
        threading.Thread(target=up.stderr.read, daemon=True).start()
        while not (data / "door.json").exists():
            if up.poll() is not None:
                raise RuntimeError("citywatch has stopped")
            time.sleep(0.1)
        yield found
        up.terminate()
