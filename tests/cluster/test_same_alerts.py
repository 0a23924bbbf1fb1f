"""A topic raises the alerts that a file with the same records raises, whoever is killed meanwhile."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.running import Run, citywatch, cursors, facts, read, refused, status
from tests.cluster.topics import Cluster, Sent

pytestmark = pytest.mark.cluster

PARTITIONS = 4
RATE, SECONDS = 100, 500


def city() -> list[str]:
    """Lines of a simulated city: some come twice, some late, some are broken."""
    said = citywatch("simulate", "city", "--rate", RATE, "--duration", f"{SECONDS}s", "--seed", 5)
    assert said.returncode == 0, said.stderr
    return said.stdout.splitlines()


def by_source(line: Sent) -> str | None:
    """The key of a line as it stands in a topic."""
    try:
        return str(json.loads(line or "")["source"])
    except (ValueError, KeyError, TypeError):
        return None


def now_is(moment: datetime) -> str:
    """An event that no rule asks about: it takes the clock of a file to where real time is."""
    at = moment.isoformat().replace("+00:00", "Z")
    event = {"specversion": "1.0", "id": "now", "source": "end", "type": "test.clock", "time": at, "receivedat": at}
    return json.dumps(event | {"data": {}})


def differing(found: dict[str, tuple[Any, ...]], expected: dict[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """(id, found, expected) of the alerts that differ."""
    ids = found.keys() | expected.keys()
    return [(one, found.get(one), expected.get(one)) for one in sorted(ids) if found.get(one) != expected.get(one)]


def clock(data: Path) -> float:
    return float(status(data).get("clock", 0)) / 1e6


@pytest.mark.timeout(400)
def test_killed_and_stopped_in_the_middle_it_raises_what_a_file_raises(cluster: Cluster, tmp_path: Path) -> None:
    lines = city()
    assert len(lines) >= RATE * SECONDS
    name = cluster.make(partitions=PARTITIONS)
    cluster.send(name, lines, key=by_source)
    data = tmp_path / "topic"

    reached = []
    for how in (signal.SIGKILL, signal.SIGINT):
        before = sum(cursors(data).values())
        with Run(data, cluster.url(name)) as run:
            run.wait(lambda before=before: sum(cursors(data).values()) > before)
            run.end(how)
        reached.append(sum(cursors(data).values()))
    assert 0 < reached[0] < len(lines), "it was killed while there was something left"
    assert reached[0] < reached[1], "it went on, and was stopped"
    with Run(data, cluster.url(name)) as run:
        run.wait_for(len(lines))
        run.wait(lambda: clock(data) > time.time() - 10)
        run.wait_for(len(lines))

    file = tmp_path / "city.ndjson"
    file.write_text("\n".join([*lines, now_is(datetime.now(UTC))]) + "\n", "utf-8")
    done = citywatch("run", file, "--once", "--data", tmp_path / "file")
    assert done.returncode == 0, done.stderr
    expected = facts(tmp_path / "file")
    assert len({fact[0] for fact in expected.values()}) > 15, "many rules find something"
    assert status(data)["counts"]["backfill"] == 0
    assert differing(facts(data), expected) == []
    counts = json.loads(done.stdout.splitlines()[-1])
    assert status(data)["counts"]["events"] == counts["events"] - 1
    assert len(refused(data)) == len(refused(tmp_path / "file")) > 0
    assert read(data) >= len(lines)
