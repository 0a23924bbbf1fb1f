"""More messages at once than there is room for: they wait in Kafka, memory stays bounded, and no alert is lost."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.cluster.running import Run, facts, read, status
from tests.cluster.test_reading import event
from tests.cluster.topics import Cluster, by_device
from tests.conformance.examples import document

pytestmark = pytest.mark.cluster

MIB = 1 << 20
PARTITIONS = 4
EVERY = 100
AT_ONCE = 120_000
BYTES = 1_200
"""Of a message: all of a burst are more than what a reader keeps of messages that are not committed."""


@pytest.mark.parametrize("burst", [150_000, pytest.param(500_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_burst_is_worked_off_with_bounded_memory_and_every_alert(
    cluster: Cluster, tmp_path: Path, burst: int
) -> None:
    rules, data = tmp_path / "rules", tmp_path / "data"
    rules.mkdir()
    (rules / "rules.yaml").write_text(yaml.safe_dump(document({"name": "marked", "where": "label = 'a'"})), "utf-8")
    name = cluster.make(partitions=PARTITIONS)
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


def message(number: int) -> str:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = {"device_id": f"d{number % 997}", "label": "a" if number % EVERY == 0 else "b"}
    text = event(number, type="anpr.read", time=now, data=data)
    return json.dumps(json.loads(text) | {"filler": "x" * (BYTES - len(text))})


def resident(pid: int) -> int:
    """Most bytes that a process has held so far."""
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
