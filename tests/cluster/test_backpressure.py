"""More messages at once than there is room for: they wait in Kafka, memory stays bounded, and no alert is lost."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from citywatch.engine.lagging import LONG
from citywatch.settings import SECOND, Settings
from citywatch.stores.desk import Desk
from tests.cluster.running import Run, born, facts, read, status
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster, by_device
from tests.cluster.traffic import Traffic
from tests.cluster.watching import Up
from tests.conformance.examples import document

pytestmark = pytest.mark.cluster

MIB = 1 << 20
PARTITIONS = 4
EVERY = 100
AT_ONCE = 120_000
BYTES = 1_200
"""Of a message: all of a burst are more than what a reader keeps of messages that are not committed."""
BACKLOG = 300_000
"""More than what a reader works off while it is held back."""
FIRST = 10_000_000
"""Number of the first message of the backlog, above those of the traffic."""
WORKS_S, RESTS_S = 0.05, 1.0


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A directory with a rule that every hundredth message is a match of."""
    directory = tmp_path / "rules"
    directory.mkdir()
    (directory / "rules.yaml").write_text(yaml.safe_dump(document({"name": "marked", "where": "label = 'a'"})), "utf-8")
    return directory


@pytest.mark.parametrize("burst", [150_000, pytest.param(500_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_burst_is_worked_off_with_bounded_memory_and_every_alert(
    cluster: Cluster, tmp_path: Path, rules: Path, burst: int
) -> None:
    data, name = tmp_path / "data", cluster.make(partitions=PARTITIONS)
    waiting: list[dict[str, int]] = []
    with Run(data, cluster.url(name), "--rules", rules) as run:
        run.wait(lambda: status(data).get("sources"))
        before = resident(run.process.pid)
        run.process.send_signal(signal.SIGSTOP)  # however quick the machine is, this is more than is read at once
        cluster.send(name, [message(number) for number in range(AT_ONCE)], key=by_device)
        run.process.send_signal(signal.SIGCONT)
        cluster.send(name, [message(number) for number in range(AT_ONCE, burst)], key=by_device)

        def worked_off() -> bool:
            lag = status(data).get("lag", {}).get(cluster.url(name), {})
            waiting.append(dict(lag))
            return read(data) >= burst and not sum(lag.values())

        run.wait(worked_off, within=1500)
        run.wait_for(burst)
        peak = resident(run.process.pid)
    most = [max(lag.get(f"{name}/{number}", 0) for lag in waiting) for number in range(PARTITIONS)]
    assert max(most) > 0, "it was said how much waits"
    assert waiting[-1] == dict.fromkeys(waiting[-1], 0)
    assert peak - before < 1024 * MIB, f"{before / MIB:.0f} MiB before, {peak / MIB:.0f} MiB at most"
    alerted = sorted(int(evidence[0][1]) for *_, evidence in facts(data).values())
    assert alerted == list(range(0, burst, EVERY))
    counts = status(data)["counts"]
    assert (counts["events"], counts["duplicates"], counts["rejected"], counts["backfill"]) == (burst, 0, 0, 0)


def test_what_came_while_a_run_was_stopped_raises_its_alerts(cluster: Cluster, tmp_path: Path, rules: Path) -> None:
    data, name = tmp_path / "data", cluster.make(partitions=PARTITIONS)
    with Run(data, cluster.url(name), "--rules", rules) as run:
        cluster.send(name, [message(0)])
        run.wait(lambda: born(data) == 1)
        run.process.send_signal(signal.SIGSTOP)
        cluster.send(name, [message(EVERY)])
        time.sleep(1.4 * Settings().disorder / SECOND)  # if the clock went on before it, it would be history only
        run.process.send_signal(signal.SIGCONT)
        run.wait_for(2)
    assert sorted(int(evidence[0][1]) for *_, evidence in facts(data).values()) == [0, EVERY]
    assert status(data)["counts"]["backfill"] == 0


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_reader_that_is_held_back_raises_one_alert_of_its_lag_and_none_when_it_has_caught_up(
    cluster: Cluster, tmp_path: Path, rules: Path
) -> None:
    data, name = tmp_path / "data", cluster.make(partitions=PARTITIONS)
    with Up(data, cluster.url(name), "--rules", rules) as up, Traffic(cluster, name, message) as traffic:
        up.wait(lambda: read(data) >= 100)
        started = time.monotonic()
        up.process.send_signal(signal.SIGSTOP)
        cluster.send(name, [message(FIRST + number) for number in range(BACKLOG)], key=by_device)

        def told() -> bool:
            """Let it work for a small part of the time; whether it has told of its lag."""
            up.process.send_signal(signal.SIGCONT)
            time.sleep(WORKS_S)
            up.process.send_signal(signal.SIGSTOP)
            time.sleep(RESTS_S)
            return lags(data) > 0

        up.wait(told, within=600)
        held_back = time.monotonic() - started
        assert read(data) < BACKLOG, "it was held back all the time"
        up.process.send_signal(signal.SIGCONT)
        up.wait(lambda: sum(up.lag().values()) > 0 and (up.late() or 0) > LONG / SECOND)
        sent = traffic.end() + BACKLOG
        up.wait_for(sent, within=300)
        up.wait(lambda: not sum(up.lag().values()) and (up.late() or 99) < LONG / SECOND)
        time.sleep(5)  # it looks at its lag every second
    assert held_back > 2 * LONG / SECOND, "the clock was a minute behind for a minute"
    assert lags(data) == 1
    (group,) = (group for rule, group, *_ in facts(data).values() if rule == "source_lag")
    assert group["source"] == cluster.url(name)
    alerted = sorted(int(evidence[0][1]) for rule, *_, evidence in facts(data).values() if rule == "marked")
    assert alerted == [n for n in (*range(sent - BACKLOG), *range(FIRST, FIRST + BACKLOG)) if n % EVERY == 0]


def lags(data: Path) -> int:
    """How often it has told of its lag."""
    with Desk(data / "desk.sqlite") as desk:
        return sum(count for rule, *_, count in desk.tallies() if rule == "source_lag")


def message(number: int) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = {"device_id": f"d{number % 997}", "label": "a" if number % EVERY == 0 else "b"}
    text = event(number, type="anpr.read", time=now, data=data)
    return json.dumps(json.loads(text) | {"filler": "x" * (BYTES - len(text))})


def resident(pid: int) -> int:
    """Most bytes that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
