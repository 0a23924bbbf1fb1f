"""A thousand events a second into a live engine: how long until the terminal shows the alert of an event.

Until `alerts tail` has printed the line: from the commit, when the event's segment of the log was written, and from the
moment at which the event was written to the engine's standard input.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bench.measure import CITYWATCH, ROOT, Line, fresh, percentile

RATE = 1000
SECONDS = 60
GROUP = 10
"""Events written at once."""
_WARM = 5.0

Shown = list[tuple[float, dict[str, object]]]


def bench(scratch: Path) -> Iterator[Line]:
    """With the 24 plain rules beside the two that are waited for."""
    data = fresh(scratch / "live")
    with _engine(data) as stdin, _tail(data) as shown:
        sent = _feed(stdin)
        time.sleep(3)
        committed = _commits(data / "log")
    for rule, floor, aim in (("marked", 0.25, 0.05), ("paired", 1.0, 0.2)):
        since_commit, since_sent = _delays(rule, committed, shown), _delays(rule, sent, shown)
        yield _line(rule, since_commit, since_sent, floor, aim)


def _line(rule: str, since_commit: list[float], since_sent: list[float], floor: float, aim: float) -> Line:
    if len(since_sent) < RATE * (SECONDS - _WARM) / 100 * 0.9:
        raise RuntimeError(f"only {len(since_sent)} alerts of {rule} were shown")
    kind = {"marked": "plain rule", "paired": "correlation"}[rule]
    p50, p99 = percentile(since_commit, 0.5), percentile(since_commit, 0.99)
    sent50, sent99 = percentile(since_sent, 0.5), percentile(since_sent, 0.99)
    return Line(
        f"live, 1,000 events/s, commit to alert line, {kind}",
        f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms (from sending: {sent50 * 1000:.0f} and {sent99 * 1000:.0f})",
        f"p99 {floor * 1000:.0f} ms",
        f"{aim * 1000:.0f} ms",
        p99 < floor,
    )


def _delays(rule: str, sent: Mapping[str, float], shown: Shown) -> list[float]:
    """Seconds from the last of an alert's events to its line, the first seconds left out; times by id of the event."""
    delays = []
    begin = min(sent.values()) + _WARM
    for at, alert in shown:
        evidence = alert["evidence"]
        assert isinstance(evidence, list)
        last = max(sent[event["id"]] for event in evidence)
        if alert["rule"] == rule and last > begin:
            delays.append(at - last)
    return delays


def _feed(stdin: IO[str]) -> dict[str, float]:
    """Write the events at their pace; when each was written, by id."""
    sent = {}
    began = time.perf_counter()
    for group in range(RATE * SECONDS // GROUP):
        time.sleep(max(0.0, began + group * GROUP / RATE - time.perf_counter()))
        numbers = range(group * GROUP, (group + 1) * GROUP)
        stdin.write("".join(_event(number) for number in numbers))
        stdin.flush()
        sent.update(dict.fromkeys(map(str, numbers), time.time()))
    return sent


def _event(number: int) -> str:
    """One in a hundred is marked; two in a hundred, fifty events apart, make a pair."""
    place = number % 100
    label = {10: "marked", 20: "paired", 70: "paired"}.get(place, "ok")
    device = f"pair-{number // 100}" if label == "paired" else f"s{number % 997}"
    event = {
        "specversion": "1.0",
        "id": str(number),
        "source": "bench",
        "type": "sensor.reading",
        "time": datetime.now(UTC).isoformat(),
        "data": {"device_id": device, "sensor_kind": "noise", "value": 50.5, "label": label, "note": "x" * 80},
    }
    return json.dumps(event) + "\n"


@contextmanager
def _engine(data: Path) -> Iterator[IO[str]]:
    rules = ROOT / "bench" / "rules"
    command: list[str | Path] = [
        CITYWATCH,
        "run",
        "-",
        "--data",
        data,
        "--rules",
        rules / "live",
        "--rules",
        rules / "plain24",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as engine:
        assert engine.stdin
        while not (data / "desk.sqlite").exists():
            if engine.poll() is not None:
                raise RuntimeError("the engine did not start")
            time.sleep(0.1)
        yield engine.stdin


def _commits(log: Path) -> dict[str, float]:
    """When each event was safe, by its id: event 0 is number 1 in the log, and so on.

    Files into which others were joined are newer, and those stay for ten minutes.
    """
    written: dict[str, float] = {}
    for file in sorted(log.glob("*.parquet"), key=lambda file: -file.stat().st_mtime):
        first, last = map(int, file.stem.split("-"))
        written.update(dict.fromkeys(map(str, range(first - 1, last)), file.stat().st_mtime))
    return written


@contextmanager
def _tail(data: Path) -> Iterator[Shown]:
    shown: Shown = []
    command: list[str | Path] = [CITYWATCH, "alerts", "tail", "--all", "--format", "ndjson", "--data", data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as tail:
        reader = threading.Thread(target=_read, args=(tail.stdout, shown))
        reader.start()
        yield shown
        tail.terminate()
        reader.join()


def _read(lines: IO[str], shown: Shown) -> None:
    for line in lines:
        shown.append((time.time(), json.loads(line)))
