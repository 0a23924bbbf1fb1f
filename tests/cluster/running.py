"""`citywatch run` as a process of its own, and what its data directory holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from tests.mqtt.broker import until

COMMAND = [sys.executable, "-c", "from citywatch.cli import main; main()"]


def citywatch(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command, run to its end."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, **options)


class Run:
    """`citywatch run ADDRESS --data DIR`; ends with the block, as by Ctrl-C."""

    command = "run"

    def __init__(self, data: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        self.data = data
        data.mkdir(exist_ok=True)
        command = [*COMMAND, self.command, *map(str, arguments), "--data", str(data)]
        self.errors, self._out = (data.with_name(f"{data.name}.{name}") for name in ("stderr", "stdout"))
        with self.errors.open("ab") as errors, self._out.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=errors, env={**os.environ, **(environment or {})}
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGINT if kind is None else signal.SIGKILL)

    def end(self, how: signal.Signals) -> dict[str, Any]:
        """Signal it; what it said last on standard output."""
        self.process.send_signal(how)
        self.process.wait(timeout=60)
        last = (self._out.read_text("utf-8").splitlines() or [""])[-1]
        return dict(json.loads(last)) if last.startswith("{") else {}

    def wait(self, what: Any, within: float = 100) -> None:
        """Wait for something; fails when the run has ended."""

        def there() -> object:
            assert self.process.poll() is None, self.errors.read_text("utf-8")
            return what()

        try:
            until(there, within=within)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}; it said:\n{self.errors.read_text('utf-8')[-2000:]}\n{status(self.data)}")

    def wait_for(self, records: int, within: float = 100) -> None:
        """Wait until so many records were read in all, and the rules have seen what became events of them."""
        self.wait(lambda: read(self.data) >= records and settled(self.data), within)


def status(data: Path) -> dict[str, Any]:
    """What the engine last said of itself."""
    if not DataDirectory(data).desk.exists():
        return {}
    with Desk(DataDirectory(data).desk) as desk:
        return dict(desk.status().get("engine") or {})


def read(data: Path) -> int:
    """Records that a data directory has read."""
    counts = status(data).get("counts", {})
    return sum(counts.get(name, 0) for name in ("events", "duplicates", "rejected"))


def born(data: Path) -> int:
    """Alerts that a data directory has ever had."""
    with Desk(DataDirectory(data).desk) as desk:
        return sum(count for *_, count in desk.tallies())


def settled(data: Path) -> bool:
    """Whether nothing waits: not in the log, not for the rules."""
    said = status(data)
    left = sum(count for parts in said.get("lag", {}).values() for count in parts.values())
    return bool(said) and not left and said["events"] == said["evaluated"]


def cursors(data: Path) -> dict[str, int]:
    """How far each partition is read."""
    if not DataDirectory(data).desk.exists():
        return {}
    with Desk(DataDirectory(data).desk) as desk:
        rows = desk._con.execute("SELECT name, value FROM cursors WHERE name LIKE 'kafka %'").fetchall()
    return {str(row[0]): int(row[1]) for row in rows}


def facts(data: Path) -> dict[str, tuple[Any, ...]]:
    """What decides an alert, by id."""
    lines = citywatch("alerts", "list", "--data", data, "--format", "ndjson").stdout.splitlines()
    found = {}
    for alert in map(json.loads, lines):
        evidence = [(event["source"], event["id"]) for event in alert["evidence"]]
        named = (alert.get(name) for name in ("rule", "group", "first_seen", "last_seen", "count", "inconclusive"))
        found[alert["id"]] = (*named, evidence)
    assert len(found) == len(lines)
    return found


def refused(data: Path) -> list[tuple[str, int, str]]:
    """(source, line, reason) of what was refused."""
    lines = citywatch("rejected", "list", "--data", data, "--format", "ndjson").stdout.splitlines()
    return sorted((row["source"], row["line"], row["reason"]) for row in map(json.loads, lines))
