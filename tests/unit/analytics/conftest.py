"""Data directories that `citywatch run` fills, and reports asked of them as a user asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from citywatch.cli import cli
from citywatch.event import batch_schema
from citywatch.settings import Settings
from citywatch.stores.directory import DataDirectory
from citywatch.stores.log import Counts, Footer, Log
from tests.unit.analytics import city_tickets
from tests.unit.analytics.reading import Ticket, read

Report = Callable[..., dict[str, Any]]
Fill = Callable[..., Path]


def run(data: Path, *sources: Path, rules: str | None = None) -> dict[str, int]:
    """`citywatch run --once` in a process of its own; gives back its last line."""
    directory = data.parent / f"{data.name}-rules"
    directory.mkdir(exist_ok=True)
    if rules:
        (directory / "rule.yaml").write_text(rules)
    program = "from citywatch.cli import main; main()"
    command = [sys.executable, "-c", program, "run", *map(str, sources), "--once", "--data", str(data)]
    done = subprocess.run([*command, "--rules", str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return summary


def invoke(*arguments: str) -> Result:
    """A command in this process, its errors raised."""
    return CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def ask(data: Path, name: str, *options: str) -> dict[str, Any]:
    """A report as JSON."""
    result = invoke("report", name, "--data", str(data), "--format", "json", *options)
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    assert answer["name"] == name
    return answer


def left_out(answer: Mapping[str, Any]) -> dict[str, int]:
    """Reason -> rows."""
    return {excluded["reason"]: excluded["rows"] for excluded in answer["excluded"]}


def events(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write CloudEvents: attributes are taken from the row, all else is data."""
    attributes = ("id", "source", "type", "time", "receivedat", "timeprecision")
    with path.open("w") as out:
        for number, row in enumerate(rows):
            event = {
                "specversion": "1.0",
                "id": str(number),
                "source": "test",
                **{k: row[k] for k in attributes if k in row},
            }
            out.write(json.dumps(event | {"data": {k: v for k, v in row.items() if k not in attributes}}) + "\n")
    return path


@pytest.fixture(scope="session")
def tickets_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return city_tickets.write(tmp_path_factory.mktemp("tickets") / "tickets.csv")


@pytest.fixture(scope="session")
def tickets(tickets_csv: Path) -> list[Ticket]:
    return read(tickets_csv)[0]


@pytest.fixture(scope="session")
def city(tickets_csv: Path) -> Path:
    """A data directory with the generated tickets."""
    data = tickets_csv.parent / "data"
    run(data, tickets_csv)
    return data


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """A data directory whose log has the given events: fields under their names, times as text."""

    def make(rows: Sequence[Mapping[str, Any]]) -> Path:
        directory = DataDirectory(tmp_path / "data")
        directory.prepare(Settings())
        Log(directory.log).append(stored(rows), Footer(0, Counts()))
        return directory.path

    return make


def stored(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A batch of events as history keeps them."""
    always = {"source": "test", "late": False, "stale": False, "backfill": False, "data": "{}"}
    full = []
    for number, row in enumerate(rows, 1):
        time = datetime.fromisoformat(row["time"])
        own = {"seq": number, "id": str(number), "ident_hi": number, "ident_lo": number, "fingerprint": 0}
        full.append({**always, **own, **row, "time": time, "received_at": time})
    schema = batch_schema()
    return pa.table([pa.array([row.get(f.name) for row in full], f.type) for f in schema], schema=schema)
